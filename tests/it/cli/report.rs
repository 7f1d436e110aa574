//! Messages of moby: results on standard output, work on standard error, as bars on a terminal and
//! as lines elsewhere; and what it says to the flags of `linuxkit build`.

use std::process::{Command, Output};

use crate::common::site::{Site, good, refused};

fn messages(output: Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    good(output);
    text
}

#[test]
fn lines_without_a_terminal_and_nothing_when_quiet() {
    let site = Site::new();
    let first = messages(site.moby(&["build", "-f", "tar,kernel+initrd", "--dir", "out", "machine.yml"]));
    let mut kinds: Vec<&str> = first.lines().map(|line| line.split(' ').next().unwrap()).collect();
    kinds.dedup();
    assert_eq!(kinds, ["building", "reading", "wrote"], "{first}");
    assert_eq!(first.matches("reading docker.io/moby/init:").count(), 1, "{first}");
    assert!(
        first.contains("wrote out/machine.tar\n") && !first.contains('\x1b') && !first.contains('\r'),
        "{first:?}"
    );
    for quiet in [
        &["-q"][..],
        &["--quiet"],
        &["-v", "0"],
        &["--verbose=0"],
        &["--quiet=true"],
    ] {
        let mut arguments = quiet.to_vec();
        arguments.extend(["build", "-f", "tar", "machine.yml"]);
        assert_eq!(messages(site.moby(&arguments)), "", "{quiet:?}");
    }
    // Results go to standard output, with nothing else.
    let piped = site.moby(&["build", "-o", "-", "machine.yml"]);
    assert!(piped.stdout == std::fs::read(site.path("machine.tar")).unwrap());
    // Nobody listens: no failure.
    let script = r#"exec 2>&-; exec "$@""#;
    let mut closed = Command::new("sh");
    closed.args([
        "-c",
        script,
        "sh",
        env!("CARGO_BIN_EXE_moby"),
        "build",
        "--cache",
        "cache",
        "-f",
        "tar",
        "machine.yml",
    ]);
    assert!(closed.current_dir(site.0.path()).status().unwrap().success());
}

/// Runs moby with a terminal as its standard error, and returns what appears there.
fn on_terminal(site: &Site, arguments: &str) -> String {
    let command = format!("{} {arguments} --cache cache", env!("CARGO_BIN_EXE_moby"));
    let mut script = Command::new("script");
    script
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("CI")
        .env_remove("NO_COLOR")
        .current_dir(site.0.path());
    let output = script.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8(good(output)).unwrap()
}

#[test]
fn bars_on_a_terminal() {
    let site = Site::new();
    let shown = on_terminal(&site, "build -f tar,kernel+initrd machine.yml");
    assert!(
        shown.contains('\x1b') && shown.contains("reading layers") && shown.contains("building tar"),
        "{shown:?}"
    );
    assert!(shown.contains("wrote machine.tar"), "{shown:?}");
    assert!(!shown.contains("0/0"), "{shown:?}");
    // What stays when all is drawn are the lines; the bars are cleared.
    let last = shown.rsplit("\x1b[2K").next().unwrap();
    assert!(!last.contains("reading") && !last.contains("making"), "{last:?}");
    assert_eq!(on_terminal(&site, "build -q -f tar machine.yml"), "");
    // Colors on a terminal, but not with NO_COLOR; and no bars in CI.
    let note = "build -f tar --size 1G machine.yml";
    assert!(on_terminal(&site, note).contains("\x1b[1;36mnote\x1b[0m: --size"));
    let plain = on_terminal(&site, &format!("{note} --color=never"));
    assert!(plain.contains("note: --size"), "{plain:?}");
}

#[test]
fn no_bars_and_colors_where_the_environment_forbids_them() {
    let site = Site::new();
    let moby = env!("CARGO_BIN_EXE_moby");
    let command = format!("CI=true NO_COLOR=1 {moby} build -f tar --size 1G --cache cache machine.yml");
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm");
    script.current_dir(site.0.path()).stdin(std::process::Stdio::null());
    let shown = String::from_utf8(good(script.output().unwrap())).unwrap();
    assert!(
        shown.contains("note: --size") && shown.contains("wrote machine.tar") && !shown.contains('\x1b'),
        "{shown:?}"
    );
}

#[test]
fn linuxkit_flags_are_accepted_or_explained() {
    let site = Site::new();
    let usual = good(site.build(&["-f", "tar", "-o", "-", "machine.yml"]));
    for (arguments, expected) in [
        ("build --docker --o out.tar machine.yml", "docker save NAME"),
        (
            "--mirror docker.io=http://mirror build --o out.tar machine.yml",
            "reading ",
        ),
        ("build --cert-file x.pem --o out.tar machine.yml", "reading "),
        (
            "-v 2 --cache cache build --format tar --arch amd64 --o out.tar machine.yml",
            "reading ",
        ),
        (
            "build --pull=false --docker=false --no-sbom=false --o out.tar machine.yml",
            "reading ",
        ),
        (
            "build --size 1024M --o out.tar machine.yml",
            "note: --size has no effect",
        ),
    ] {
        let mut arguments: Vec<&str> = arguments.split(' ').collect();
        arguments.push("--rebuild");
        let text = messages(site.moby(&arguments));
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert_eq!(text.contains("note: "), expected != "reading ", "{text}");
        assert!(std::fs::read(site.path("out.tar")).unwrap() == usual, "{arguments:?}");
    }
    for (arguments, expected) in [
        (
            "build --pull --input-tar machine.yml machine.yml",
            "--input-tar and --pull cannot be used together",
        ),
        (
            "build https://example.org/machine.yml",
            "curl -LO https://example.org/machine.yml",
        ),
        ("build --output x --name y machine.yml", "--name"),
    ] {
        let text = refused(site.moby(&arguments.split(' ').collect::<Vec<_>>()), 2);
        assert!(text.contains(expected), "{arguments}: {text}");
    }
    let help = String::from_utf8(good(site.moby(&["build", "--help"]))).unwrap();
    for flag in [
        "name",
        "dir",
        "o",
        "size",
        "pull",
        "docker",
        "decompress-kernel",
        "arch",
        "format",
        "input-tar",
        "cache",
        "no-sbom",
        "sbom-current-time",
        "sbom-output",
        "dry-run",
    ] {
        assert!(help.contains(&format!("--{flag}")), "{flag}: {help}");
    }
}
