//! Images that are installed with the program, and the completions of shells.

use std::fs;
use std::process::{Command, Output};

use crate::common::site::{Site, good, refused};

#[cfg(unix)]
#[test]
fn images_beside_the_program_are_found() {
    let site = Site::new();
    good(site.build(&["-f", "tar", "machine.yml"]));
    let named = good(site.moby(&["build", "--dry-run", "machine.yml"]));
    fs::write(site.path("named.yml"), named).unwrap();
    let usual = fs::read(site.path("machine.tar")).unwrap();

    fs::create_dir_all(site.path("usr/bin")).unwrap();
    let program = site.path("usr/bin/moby");
    fs::hard_link(env!("CARGO_BIN_EXE_moby"), &program)
        .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_moby"), &program).map(drop))
        .unwrap();
    fs::create_dir_all(site.path("usr/share/moby")).unwrap();
    fs::rename(site.path("cache"), site.path("usr/share/moby/images")).unwrap();
    fs::remove_dir_all(site.path("usr/share/moby/images/moby")).unwrap();
    let build = |program: &str| -> Output {
        Command::new(site.path(program))
            .args(["-q", "build", "--offline", "-f", "tar", "-o", "-", "named.yml"])
            .current_dir(site.0.path())
            .env("PATH", "")
            .env("MOBY_CACHE", site.path("empty"))
            .env_remove("MOBY_CACHE_FROM")
            .output()
            .unwrap()
    };
    assert!(good(build("usr/bin/moby")) == usual);
    // Package managers link to the program.
    std::os::unix::fs::symlink(&program, site.path("moby")).unwrap();
    assert!(good(build("moby")) == usual);

    fs::rename(site.path("usr/share/moby"), site.path("usr/share/other")).unwrap();
    let message = refused(build("usr/bin/moby"), 1);
    let help = format!(
        "then run `moby cache import moby-{}-images.tar`",
        env!("CARGO_PKG_VERSION")
    );
    assert!(message.contains(&help), "{message}");
}

#[test]
fn every_shell_has_completions() {
    let site = Site::new();
    for (shell, text) in [
        ("bash", "complete -F _moby"),
        ("zsh", "#compdef moby"),
        ("fish", "complete -c moby"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let script = String::from_utf8(good(site.moby(&["completion", shell]))).unwrap();
        assert!(script.contains(text) && script.contains("inspect"), "{shell}: {script}");
    }
    let message = refused(site.moby(&["completion", "tcsh"]), 2);
    assert!(message.contains("tcsh"), "{message}");
}
