//! A guest in QEMU: its process, its console, and how it ends.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::console::{Console, Symptom};
use super::monitor::{Commands, Message, Monitor};
use super::parent;

/// Interval at which QEMU's process is polled.
const TICK: Duration = Duration::from_millis(200);
/// Maximum time for QEMU to end after it was asked to.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// The head of QEMU's report of an internal error (accel/kvm/kvm-all.c); registers follow it.
const INTERNAL_ERROR: &[u8] = b"internal error";

/// End of a guest.
#[derive(Debug)]
pub enum Ending {
    /// QEMU ended.
    Exited(ExitStatus),
    /// The guest was powered off, or reset itself.
    Off,
    /// The guest failed, and QEMU was ended.
    Failed {
        /// The observed failure.
        symptom: Symptom,
        /// True if the guest has, or may have, written to its disks.
        written: bool,
    },
}

/// Runs QEMU on this terminal until it ends.
pub fn run(program: &str, arguments: &[OsString]) -> io::Result<ExitStatus> {
    let mut child = parent::command(program).args(arguments).spawn()?;
    child.wait()
}

/// An event of a watched guest.
enum Event {
    Console(Vec<u8>),
    InternalError,
    Monitor(Message),
}

/// Options for watching a guest.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// True if the guest's console is this terminal, so that its silence means something.
    pub has_console: bool,
    /// True if the registers that follow an internal error are shown.
    pub registers: bool,
}

/// Runs QEMU on this terminal until it ends, or until its guest fails as guests do under an
/// accelerator that does not work.
pub fn watch(program: &str, arguments: &[OsString], watch: Watch) -> io::Result<Ending> {
    let monitor = Monitor::new()?;
    let mut child = parent::command(program)
        .args(arguments)
        .args(monitor.arguments()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, events) = channel();
    let mut commands = match forward(&mut child, monitor, watch, sender) {
        Ok(commands) => commands,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    let ending = follow(&mut child, &events, &mut commands, watch.has_console);
    end(&mut child, &mut commands)?;
    ending
}

/// Starts the threads that forward what QEMU prints and its messages.
fn forward(child: &mut Child, monitor: Monitor, watch: Watch, events: Sender<Event>) -> io::Result<Commands> {
    if let Some(output) = child.stdout.take() {
        let events = events.clone();
        thread::Builder::new().spawn(move || forward_console(output, &events))?;
    }
    if let Some(errors) = child.stderr.take() {
        let events = events.clone();
        thread::Builder::new().spawn(move || forward_errors(errors, watch.registers, &events))?;
    }
    monitor.listen(move |message| {
        // Nobody listens once the guest has ended.
        let _ = events.send(Event::Monitor(message));
    })
}

fn follow(
    child: &mut Child,
    events: &Receiver<Event>,
    commands: &mut Commands,
    has_console: bool,
) -> io::Result<Ending> {
    let mut console = Console::new(Instant::now());
    loop {
        match events.recv_timeout(TICK) {
            Ok(Event::Console(bytes)) => console.push(&bytes, Instant::now()),
            Ok(Event::InternalError) => return Ok(failed(Symptom::InternalError, commands)),
            Ok(Event::Monitor(Message::Shutdown { reset: false })) => return Ok(Ending::Off),
            Ok(Event::Monitor(Message::Shutdown { reset: true } | Message::Reset)) => {
                // The kernel's last lines may still be on their way.
                while let Ok(event) = events.recv_timeout(TICK) {
                    if let Event::Console(bytes) = event {
                        console.push(&bytes, Instant::now());
                    }
                }
                // Without a console nobody knows whether the kernel announced it.
                if console.announced_reset() || !has_console {
                    return Ok(Ending::Off);
                }
                return Ok(failed(Symptom::Reset, commands));
            }
            Ok(Event::Monitor(Message::Stop)) => {
                if commands.is_internal_error() {
                    return Ok(failed(Symptom::InternalError, commands));
                }
                // Later it is the user who stops the guest, in QEMU's monitor.
                if has_console && !console.kernel_seen() {
                    return Ok(failed(Symptom::Paused, commands));
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                if let Some(status) = child.try_wait()? {
                    // A QEMU without an exit code was ended by a signal, as a crash is.
                    if status.code().is_none() && !console.kernel_seen() {
                        return Ok(failed(Symptom::Ended, commands));
                    }
                    return Ok(Ending::Exited(status));
                }
                if has_console && console.is_silent(Instant::now()) {
                    return Ok(failed(Symptom::Silent, commands));
                }
            }
        }
    }
}

fn failed(symptom: Symptom, commands: &mut Commands) -> Ending {
    Ending::Failed {
        symptom,
        written: commands.has_written(),
    }
}

/// Ends QEMU, so that its disks and ports are free.
fn end(child: &mut Child, commands: &mut Commands) -> io::Result<()> {
    if child.try_wait()?.is_none() {
        commands.quit();
        let last = Instant::now() + EXIT_TIMEOUT;
        while child.try_wait()?.is_none() && Instant::now() < last {
            std::thread::sleep(TICK / 4);
        }
    }
    if child.try_wait()?.is_none() {
        child.kill()?;
    }
    child.wait().map(drop)
}

/// Shows the console on standard output.
fn forward_console(mut output: impl Read, events: &Sender<Event>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default();
        // A reader of the console that has gone away does not end the guest.
        let _ = io::stdout().write_all(bytes).and_then(|()| io::stdout().flush());
        if events.send(Event::Console(bytes.to_vec())).is_err() {
            return;
        }
    }
}

/// Shows QEMU's messages on standard error, up to an internal error where its registers are not
/// wanted.
fn forward_errors(errors: impl Read, registers: bool, events: &Sender<Event>) {
    let mut lines = BufReader::new(errors);
    let mut line = Vec::new();
    let mut is_shown = true;
    while let Ok(1..) = lines.read_until(b'\n', &mut line) {
        if line.windows(INTERNAL_ERROR.len()).any(|text| text == INTERNAL_ERROR) {
            is_shown = registers;
            // The guest may have ended by now.
            let _ = events.send(Event::InternalError);
        }
        if is_shown {
            let _ = io::stderr().write_all(&line);
        }
        line.clear();
    }
}
