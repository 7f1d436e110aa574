//! Commands of how-to pages, run as they are printed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::site::Site;

/// The blocks of commands in a section of a page in `docs/how-to`.
pub fn commands(page: &str, section: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to").join(page);
    let text = fs::read_to_string(path).unwrap();
    let mut sections = text.split("\n## ");
    let text = sections.find(|text| text.starts_with(&format!("{section}\n")));
    let text = text.unwrap_or_else(|| panic!("no section {section:?}"));
    let blocks = text.split("\n\n").filter(|block| block.starts_with("    "));
    blocks
        .map(|block| block.lines().map(|line| format!("{}\n", &line[4..])).collect())
        .collect()
}

/// A shell that knows no moby but ours, and neither credentials nor caches but the site's.
pub fn shell(site: &Site, wrapper: &[&str], script: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_moby"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let all = [wrapper, &["sh", "-e", "-c", script]].concat();
    let mut command = Command::new(all[0]);
    command
        .args(&all[1..])
        .current_dir(site.0.path())
        .env("PATH", path)
        .env("HOME", site.path("home"))
        .env("MOBY_CACHE", site.path("cache"));
    for variable in [
        "MOBY_OFFLINE",
        "LINUXKIT_MIRROR",
        "DOCKER_CONFIG",
        "REGISTRY_AUTH_FILE",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command that has to succeed, and returns what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap() + &said
}
