//! QEMU's machine protocol (QMP): QEMU connects to a socket of moby's on loopback, so that nobody
//! else can control the machine.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Maximum time for an answer of QEMU.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// A message of QEMU's that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The guest was paused.
    Stop,
    /// The guest was reset by itself.
    Reset,
    /// The machine is off, or would be reset if it were not for `-no-reboot`.
    Shutdown {
        /// True if the reason is a reset by the guest.
        reset: bool,
    },
}

/// A socket that waits for QEMU.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
}

/// Sender of commands to QEMU.
#[derive(Debug)]
pub struct Commands {
    stream: Receiver<TcpStream>,
    connected: Option<TcpStream>,
    answers: Receiver<Value>,
}

impl Monitor {
    /// Opens a socket.
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        Ok(Monitor { listener })
    }

    /// Returns the arguments that make QEMU connect. `-no-shutdown` keeps QEMU until it was asked how
    /// the guest ended.
    pub fn arguments(&self) -> io::Result<[String; 5]> {
        let port = self.listener.local_addr()?.port();
        Ok([
            "-chardev".into(),
            format!("socket,id=qmp,host=127.0.0.1,port={port}"),
            "-mon".into(),
            "chardev=qmp,mode=control".into(),
            "-no-shutdown".into(),
        ])
    }

    /// Sends QEMU's messages to `forward`, from a thread that lives as long as QEMU does.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn listen(self, forward: impl Fn(Message) + Send + 'static) -> io::Result<Commands> {
        let (stream, streams) = channel();
        let (answer, answers) = channel();
        // Ends with the connection. When QEMU never connects, it ends with moby.
        std::thread::Builder::new().spawn(move || {
            let Ok((socket, _)) = self.listener.accept() else {
                return;
            };
            drop(self.listener);
            // A QEMU that is gone is noticed by its process.
            let _ = serve(socket, &stream, &answer, &forward);
        })?;
        Ok(Commands {
            stream: streams,
            connected: None,
            answers,
        })
    }
}

fn serve(
    mut socket: TcpStream,
    stream: &Sender<TcpStream>,
    answers: &Sender<Value>,
    forward: &dyn Fn(Message),
) -> io::Result<()> {
    let lines = BufReader::new(socket.try_clone()?).lines();
    writeln!(
        socket,
        "{}",
        json!({"execute": "qmp_capabilities", "id": "capabilities"})
    )?;
    // The other side may have ended already.
    let _ = stream.send(socket);
    for line in lines {
        let message: Value = serde_json::from_str(&line?)?;
        if let Some(event) = event(&message) {
            forward(event);
        } else if message.get("id").is_some_and(|id| id != "capabilities") {
            let _ = answers.send(message);
        }
    }
    Ok(())
}

/// Reads an event (docs/interop/qmp-spec, qapi/run-state.json).
fn event(message: &Value) -> Option<Message> {
    let data = |key: &str| message.get("data")?.get(key);
    match message.get("event")?.as_str()? {
        "STOP" => Some(Message::Stop),
        "RESET" if data("guest").and_then(Value::as_bool).unwrap_or(true) => Some(Message::Reset),
        "SHUTDOWN" => Some(Message::Shutdown {
            reset: data("reason").and_then(Value::as_str) == Some("guest-reset"),
        }),
        _ => None,
    }
}

impl Commands {
    /// Executes a command and returns its result; nothing when QEMU does not answer.
    fn execute(&mut self, command: &str) -> Option<Value> {
        if self.connected.is_none() {
            self.connected = self.stream.recv_timeout(REPLY_TIMEOUT).ok();
        }
        let socket = self.connected.as_mut()?;
        writeln!(socket, "{}", json!({"execute": command, "id": command})).ok()?;
        loop {
            let answer = self.answers.recv_timeout(REPLY_TIMEOUT).ok()?;
            if answer.get("id").is_some_and(|id| id == command) {
                return answer.get("return").cloned();
            }
        }
    }

    /// Returns whether QEMU stopped the guest because of an internal error of its own. WHPX reports a
    /// CPU that it cannot run as a panic of the guest (target/i386/whpx/whpx-all.c), which no guest of
    /// moby's has a device to report.
    pub fn is_internal_error(&mut self) -> bool {
        let reply = self.execute("query-status");
        let status = reply.as_ref().and_then(|reply| reply.get("status")?.as_str());
        matches!(status, Some("internal-error" | "guest-panicked"))
    }

    /// Returns whether the guest has written to the attached disks, as far as QEMU tells.
    pub fn has_written(&mut self) -> bool {
        let Some(Value::Array(devices)) = self.execute("query-blockstats") else {
            return true;
        };
        let writes = |device: &Value| {
            let attached = device.get("qdev").and_then(Value::as_str).unwrap_or_default();
            let drive = device.get("device").and_then(Value::as_str).unwrap_or_default();
            let stats = device.get("stats");
            let operations = stats
                .and_then(|stats| stats.get("wr_operations"))
                .and_then(Value::as_u64);
            let is_disk = drive.starts_with(super::arguments::DISK) || attached.contains(super::arguments::DISK);
            is_disk && operations != Some(0)
        };
        devices.iter().any(writes)
    }

    /// Ends QEMU.
    pub fn quit(&mut self) {
        self.execute("quit");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart() {
        for (text, expected) in [
            (r#"{"event": "STOP", "timestamp": {}}"#, Some(Message::Stop)),
            (
                r#"{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}"#,
                Some(Message::Reset),
            ),
            (
                r#"{"event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}}"#,
                None,
            ),
            (
                r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#,
                Some(Message::Shutdown { reset: false }),
            ),
            (
                r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#,
                Some(Message::Shutdown { reset: true }),
            ),
            (r#"{"return": {}}"#, None),
        ] {
            assert_eq!(event(&serde_json::from_str(text).unwrap()), expected, "{text}");
        }
    }
}
