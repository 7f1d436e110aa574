//! Machines built from `examples/` and booted in QEMU by `moby run`.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use crate::common::machine::Machine;
use crate::common::{PATIENCE, build, get, moby_run};

#[test]
fn hello_boots_serves_and_powers_off() {
    let directory = tempfile::tempdir().unwrap();
    build("hello.yml", &[], directory.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut machine = Machine::start(
        moby_run()
            .args(["--publish", &format!("{port}:80")])
            .arg(directory.path().join("hello")),
    );
    for text in [
        "moby-init: onboot 000-hello",
        "hello from hello, uid 0, gid 0, CapEff:\t0000000000000001",
        "moby-init: onboot 001-second",
        "hello from second, uid 101, gid 101, CapEff:\t0000000000000000",
        "moby-init: containerd listens",
        "moby-init: started",
    ] {
        machine.until(text);
    }
    let answer = get(port);
    assert!(answer.contains("nginx on moby"), "{answer}");
    machine.power_button();
    for text in ["onshutdown 000-bye", "hello from bye"] {
        machine.until(text);
    }
    machine.goes_down();
}

/// Tests a machine as users do.
fn expects(file: &Path, arguments: &[&str]) {
    let mut command = moby_run();
    command
        .args(["--mem", "1536", "--timeout"])
        .arg(PATIENCE.as_secs().to_string());
    let output = command.args(arguments).arg(file).stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_compression_boots() {
    for (compression, format, file) in [
        ("zstd", "kernel+initrd", "minimal"),
        ("lz4", "iso", "minimal-hybrid.iso"),
        ("xz:1", "raw", "minimal.img"),
        ("none", "qcow2", "minimal-hybrid.qcow2"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        build(
            "minimal.yml",
            &["-f", format, "--compress", compression],
            directory.path(),
        );
        let texts = ["--expect", "hello from a container", "--expect", "moby-init: started"];
        expects(&directory.path().join(file), &texts);
    }
}

#[test]
fn expected_page_is_served_by_a_machine() {
    let directory = tempfile::tempdir().unwrap();
    build("nginx.yml", &["--compress", "lz4"], directory.path());
    let log = directory.path().join("serial.log");
    let arguments = ["--expect-http", "80/index.html", "--serial-log", log.to_str().unwrap()];
    expects(&directory.path().join("nginx"), &arguments);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("moby-init: service nginx"), "{log}");
}

#[test]
fn services_run_without_containerd() {
    let directory = tempfile::tempdir().unwrap();
    build("nginx.yml", &["--compress", "lz4"], directory.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut machine = Machine::start(
        moby_run()
            .args(["--publish", &format!("{port}:80")])
            .arg(directory.path().join("nginx")),
    );
    machine.until("moby-init: started");
    let answer = get(port);
    assert!(answer.contains("served from a volume"), "{answer}");
    machine.power_button();
    machine.goes_down();
}
