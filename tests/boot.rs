//! Machines built from `examples/` and booted in QEMU by `moby run`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;

use common::{build, console, get, moby, until};

#[test]
fn hello_boots_serves_and_powers_off() {
    let folder = tempfile::tempdir().unwrap();
    build("hello.yml", &[], folder.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut machine = moby()
        .args(["run", "--publish", &format!("{port}:80")])
        .arg(folder.path().join("hello"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = console(machine.stdout.take().unwrap());
    let mut log = Vec::new();
    for text in [
        "moby-init: onboot 000-hello",
        "hello from hello, uid 0, gid 0, CapEff:\t0000000000000001",
        "moby-init: onboot 001-second",
        "hello from second, uid 101, gid 101, CapEff:\t0000000000000000",
        "moby-init: containerd listens",
        "moby-init: started",
    ] {
        until(&lines, text, &mut log);
    }
    let answer = get(port);
    assert!(answer.contains("nginx on moby"), "{answer}");
    // Ctrl-A c leads to QEMU's monitor; this is the power button.
    machine
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"\x01csystem_powerdown\n")
        .unwrap();
    for text in ["onshutdown 000-bye", "hello from bye", "moby-init: down"] {
        until(&lines, text, &mut log);
    }
    assert!(machine.wait().unwrap().success());
}

#[test]
fn every_compression_boots() {
    for compression in ["zstd", "lz4", "xz:1", "none"] {
        let folder = tempfile::tempdir().unwrap();
        build("minimal.yml", &["--compress", compression], folder.path());
        let mut machine = moby()
            .args(["run", "--mem", "1536"])
            .arg(folder.path().join("minimal"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = console(machine.stdout.take().unwrap());
        let mut log = vec![compression.to_owned()];
        until(&lines, "hello from a container", &mut log);
        until(&lines, "moby-init: started", &mut log);
        machine
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\x01csystem_powerdown\n")
            .unwrap();
        until(&lines, "moby-init: down", &mut log);
        assert!(machine.wait().unwrap().success());
    }
}

#[test]
fn services_run_without_containerd() {
    let folder = tempfile::tempdir().unwrap();
    build("nginx.yml", &["--compress", "lz4"], folder.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut machine = moby()
        .args(["run", "--publish", &format!("{port}:80")])
        .arg(folder.path().join("nginx"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = console(machine.stdout.take().unwrap());
    let mut log = Vec::new();
    until(&lines, "moby-init: started", &mut log);
    let answer = get(port);
    assert!(answer.contains("served from a volume"), "{answer}");
    machine
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"\x01csystem_powerdown\n")
        .unwrap();
    until(&lines, "moby-init: down", &mut log);
    assert!(machine.wait().unwrap().success());
}
