//! What the tests that build and boot machines share.

// No test uses all of it.
#![allow(dead_code)]

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::Command;
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
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                let found = line.contains(text);
                log.push(line);
                if found {
                    return;
                }
            }
            Err(_) => panic!("{text:?} did not appear:\n{}", log.join("\n")),
        }
    }
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
