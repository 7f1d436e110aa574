//! Shared parts of the tests: images, sites to build in, machines, the table of formats.

pub mod boot;
pub mod formats;
pub mod images;
pub mod layout;
pub mod machine;
#[cfg(feature = "registry")]
pub mod page;
#[cfg(feature = "registry")]
pub mod registry;
pub mod shared;
pub mod site;
#[cfg(feature = "sign")]
pub mod trust;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use machine::Machine;

/// A machine under emulation on a busy host needs its time.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub fn moby() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moby"));
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache");
    command.env("MOBY_CACHE", cache).env("MOBY_OFFLINE", "1");
    command
}

/// Starts `moby run` with an accelerator that does not depend on the host: TCG, unless
/// `MOBY_TEST_ACCEL` names another. A KVM that opens may still hang or kill its guests.
pub fn moby_run() -> Command {
    let accelerator = std::env::var("MOBY_TEST_ACCEL").unwrap_or_else(|_| "tcg".to_owned());
    let mut command = moby();
    command.args(["run", "--accel", &accelerator]);
    command
}

pub fn build(example: &str, arguments: &[&str], directory: &Path) {
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    build_file(&yaml, arguments, directory);
}

pub fn build_file(yaml: &Path, arguments: &[&str], directory: &Path) {
    let output = moby()
        .args(["build", "--rebuild"])
        .args(arguments)
        .arg("--dir")
        .arg(directory)
        .arg(yaml)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// With what a kernel panics whose emulated timer a busy host served too late.
const LATE_TIMER: &str = "IO-APIC + timer doesn't work";

/// Boots what `moby run` takes down to a marker on the console, and returns the lines on it so far.
pub fn boots(file: &Path, arguments: &[&str], marker: &str) -> Vec<String> {
    let mut log = vec![format!("{} {arguments:?}", file.display())];
    for _ in 0..3 {
        let mut command = moby_run();
        if arguments.contains(&"arm64") {
            command.args(["--accel", "tcg"]);
        }
        let mut machine = Machine::start(command.args(["--mem", "1536"]).args(arguments).arg(file));
        if machine.shows(marker) {
            return std::mem::take(&mut machine.log);
        }
        log.append(&mut machine.log);
        // Firmware and boot loader take no words for the kernel that would leave the test out.
        if !log.iter().any(|line| line.contains(LATE_TIMER)) {
            break;
        }
    }
    panic!("{marker:?} did not appear:\n{}", log.join("\n"));
}

/// The page that a machine serves at a port of the host.
pub fn get(port: u16) -> String {
    let end = Instant::now() + PATIENCE;
    // QEMU accepts before the machine listens: only an answer counts.
    while Instant::now() < end {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok();
            stream.read_to_string(&mut answer).ok();
        }
        if answer.starts_with("HTTP/1.1 200") {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("nothing answers on port {port}");
}
