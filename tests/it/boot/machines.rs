//! Machines built from `examples/` and booted in QEMU by `moby run`.

use std::net::TcpListener;

use crate::common::machine::Machine;
use crate::common::{build, get, moby_run};

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

#[test]
fn every_compression_boots() {
    for compression in ["zstd", "lz4", "xz:1", "none"] {
        let directory = tempfile::tempdir().unwrap();
        build("minimal.yml", &["--compress", compression], directory.path());
        let mut machine = Machine::start(moby_run().args(["--mem", "1536"]).arg(directory.path().join("minimal")));
        machine.log.push(compression.to_owned());
        machine.until("hello from a container");
        machine.until("moby-init: started");
        machine.power_button();
        machine.goes_down();
    }
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
