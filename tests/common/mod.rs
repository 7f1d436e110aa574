//! What the tests that build and boot machines share.

// No test uses all of it.
#![allow(dead_code)]

pub mod layout;
pub mod media;
pub mod site;

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A machine under emulation on a busy host needs its time.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub fn moby() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moby"));
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache");
    command.env("MOBY_CACHE", cache);
    command
}

pub fn build(example: &str, arguments: &[&str], folder: &Path) {
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    build_file(&yaml, arguments, folder);
}

pub fn build_file(yaml: &Path, arguments: &[&str], folder: &Path) {
    let output = moby()
        .arg("build")
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .arg(yaml)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The console's lines until one contains the text; all lines met are added to `log`.
pub fn until(lines: &Receiver<String>, text: &str, log: &mut Vec<String>) {
    assert!(
        appears(lines, text, log),
        "{text:?} did not appear:\n{}",
        log.join("\n")
    );
}

/// Whether a line contains the text before the console ends and patience does.
fn appears(lines: &Receiver<String>, text: &str, log: &mut Vec<String>) -> bool {
    let end = Instant::now() + PATIENCE;
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        let found = line.contains(text);
        log.push(line);
        if found {
            return true;
        }
    }
    false
}

/// The lines of a console; where a login asks for something, the question is a line too.
pub fn console(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut line = Vec::new();
        for byte in BufReader::new(output).bytes().map_while(Result::ok) {
            line.push(byte);
            let question = [&b"login: "[..], b"Password: "].iter().any(|end| line.ends_with(end));
            if byte == b'\n' || question {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        }
    });
    receiver
}

/// A machine that ends with the test, whatever its end.
pub struct Machine(pub Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // Ctrl-A c leads to QEMU's monitor. Killing moby would leave QEMU behind.
        if let Some(stdin) = self.0.stdin.as_mut() {
            stdin.write_all(b"\x01cquit\n").ok();
        }
        self.0.wait().ok();
    }
}

/// With what a kernel panics whose emulated timer a busy host served too late.
const LATE_TIMER: &str = "IO-APIC + timer doesn't work";

/// Boots what `moby run` takes down to a marker on the console.
pub fn boots(file: &Path, arguments: &[&str], marker: &str) {
    let mut log = vec![format!("{} {arguments:?}", file.display())];
    for _ in 0..3 {
        let machine = moby()
            .args(["run", "--mem", "1536"])
            .args(arguments)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut machine = Machine(machine);
        let lines = console(machine.0.stdout.take().unwrap());
        if appears(&lines, marker, &mut log) {
            return;
        }
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
