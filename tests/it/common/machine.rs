//! A machine in QEMU, and what is seen on its console.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A machine that ends with the test, whether it passes or panics.
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

    /// Reads the console until a line contains the text; false if the console ends or the time is up.
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
        let status = self.wait(PATIENCE);
        let status = status.unwrap_or_else(|| panic!("the machine does not end:\n{}", self.log.join("\n")));
        assert!(status.success(), "{status}:\n{}", self.log.join("\n"));
        std::mem::take(&mut self.log)
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + patience;
        loop {
            match self.child.try_wait().unwrap() {
                None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                status => return status,
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // QEMU is a child of `moby run`: killing moby alone would leave it behind. Its monitor is
        // asked first; a machine that does not answer is killed.
        if let Some(stdin) = self.child.stdin.as_mut() {
            stdin.write_all(b"\x01cquit\n").ok();
        }
        if self.wait(Duration::from_secs(5)).is_some() {
            return;
        }
        for child in children(self.child.id()) {
            Command::new("kill").args(["-KILL", &child.to_string()]).status().ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The processes that a process has started, as /proc lists them (proc(5), `/proc/pid/stat`).
fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything, are the state and the parent.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_child).collect()
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

mod tests {
    use super::*;

    #[test]
    fn a_machine_that_does_not_answer_is_killed_with_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let script = "sleep 1000 & echo $! > \"$0\"; echo started; wait";
        let mut machine = Machine::start(Command::new("sh").args(["-c", script]).arg(&pid));
        machine.until("started");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _machine = machine;
            panic!("a test that fails while its machine runs");
        }));
        assert!(panicked.is_err());
        let pid = fs::read_to_string(pid).unwrap();
        // A process that was killed is a zombie until init takes notice.
        let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let end = Instant::now() + Duration::from_secs(60);
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(Instant::now() < end, "{}", state());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
