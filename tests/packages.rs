//! Machines of `tests/machines/`, booted in QEMU: what the packages of `pkg/` do, seen on the
//! console.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::{build_file, console, moby, until};

fn machine(name: &str, folder: &Path) {
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines").join(name);
    build_file(&yaml, &["--compress", "lz4"], folder);
}

#[test]
fn packages_do_what_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    machine("packages.yml", folder.path());
    let mut machine = moby()
        .args(["run", "--data", "a text for the machine"])
        .arg(folder.path().join("packages"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = console(machine.stdout.take().unwrap());
    let mut input = machine.stdin.take().unwrap();
    let mut log = Vec::new();
    for text in [
        "sysctl: there is no /proc/sys/kernel/no_such_thing",
        "keys 123 domain example.org",
        // What QEMU's network gives.
        "inet 10.0.2.15/24",
        "default via 10.0.2.2",
        "nameserver 10.0.2.3",
        "left sees left lo lonely",
        "joined ",
        "right sees eth0 lo right",
        "64 bytes from 10.9.0.1",
        "told: a text for the machine",
        "getty: a login on ttyS0",
        "This shell is in the container getty",
    ] {
        until(&lines, text, &mut log);
        if text == "joined " {
            let joined = log.last().unwrap();
            assert!(joined.contains("inet 10.9.0.1/24"), "{joined}");
        }
    }
    input.write_all(b"echo typed $((6 * 7)) as $(id -un)\n").unwrap();
    until(&lines, "typed 42 as root", &mut log);
    // The shell ends, and another comes.
    input.write_all(b"exit\n").unwrap();
    until(&lines, "This shell is in the container getty", &mut log);
    input.write_all(b"\x01csystem_powerdown\n").unwrap();
    until(&lines, "moby-init: down", &mut log);
    assert!(machine.wait().unwrap().success());
}
