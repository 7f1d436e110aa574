//! A machine in QEMU, and what is seen on its console.

use std::io::{BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::PATIENCE;

/// A machine that ends with the test, whatever its end.
pub struct Machine {
    child: Child,
    lines: Receiver<String>,
    /// The lines that were read from the console.
    pub log: Vec<String>,
}

impl Machine {
    /// Runs `moby run`, or QEMU, with its console on this side.
    pub fn start(command: &mut Command) -> Machine {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = console(child.stdout.take().unwrap());
        Machine {
            child,
            lines,
            log: Vec::new(),
        }
    }

    /// Whether a line contains the text before the console ends and patience does.
    pub fn shows(&mut self, text: &str) -> bool {
        let end = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            let found = line.contains(text);
            self.log.push(line);
            if found {
                return true;
            }
        }
        false
    }

    /// Reads the console until a line contains the text, which it has to.
    pub fn until(&mut self, text: &str) {
        assert!(self.shows(text), "{text:?} did not appear:\n{}", self.log.join("\n"));
    }

    /// Types on the console.
    pub fn typed(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Presses the power button. Ctrl-A c leads to QEMU's monitor.
    pub fn power_button(&mut self) {
        self.typed("\x01csystem_powerdown\n");
    }

    /// Waits until the machine has powered itself off, and returns its log.
    pub fn goes_down(mut self) -> Vec<String> {
        self.until("moby-init: down");
        self.ends()
    }

    /// Waits until the machine ends by itself.
    pub fn ends(mut self) -> Vec<String> {
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.log)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Killing moby would leave QEMU behind.
        if let Some(stdin) = self.child.stdin.as_mut() {
            stdin.write_all(b"\x01cquit\n").ok();
        }
        self.child.wait().ok();
    }
}

/// The lines of a console; where a login asks for something, the question is a line too.
fn console(output: impl Read + Send + 'static) -> Receiver<String> {
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
