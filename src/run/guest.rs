//! A guest in QEMU: its process, its console, and how it ends.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::console::{Console, Symptom};
use super::expect::{self, NotServed, Page, Pending};
use super::monitor::{Commands, Message, Monitor};
use super::parent;

/// Interval at which QEMU's process is polled.
const TICK: Duration = Duration::from_millis(200);
/// Maximum time for output that is on its way when the guest has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time for QEMU to end after it was asked to.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Head of QEMU's report of an internal error (accel/kvm/kvm-all.c); registers follow it.
const INTERNAL_ERROR: &[u8] = b"internal error";

/// End of a guest.
#[derive(Debug)]
pub enum Ending {
    /// QEMU ended.
    Exited(ExitStatus),
    /// The guest was powered off, or reset itself.
    Off,
    /// The kernel panicked, and halted.
    Panicked,
    /// Everything expected was seen, and QEMU was ended.
    Met,
    /// The time was up, and QEMU was ended.
    TimedOut,
    /// The guest failed, and QEMU was ended.
    Failed {
        /// Observed failure.
        symptom: Symptom,
        /// True if the guest has, or may have, written to its disks.
        written: bool,
    },
}

/// Runs QEMU on this terminal until it ends.
pub fn run(program: &Path, arguments: &[OsString]) -> io::Result<ExitStatus> {
    let mut child = parent::command(program).args(arguments).spawn()?;
    child.wait()
}

/// An event of a watched guest.
enum Event {
    Console(Vec<u8>),
    InternalError,
    Monitor(Message),
    Requested(Page, Result<(), NotServed>),
}

/// Options for watching a guest.
#[derive(Debug)]
pub struct Watch<'a> {
    /// True if the accelerator may fail.
    pub accelerated: bool,
    /// True if the guest's console is this terminal, so that its silence means something.
    pub has_console: bool,
    /// True if the registers that follow an internal error are shown.
    pub registers: bool,
    /// Pages that the guest is expected to serve, with the ports of this host.
    pub pages: Vec<(u16, Page)>,
    /// File that gets the console's output.
    pub log: Option<&'a Path>,
    /// Time at which the guest is ended.
    pub deadline: Option<Instant>,
}

/// Runs QEMU on this terminal until it ends, until everything expected was seen, or until its guest fails
/// as guests do under an accelerator that does not work.
pub fn watch(program: &Path, arguments: &[OsString], watch: &Watch<'_>, pending: &mut Pending) -> io::Result<Ending> {
    let log = watch.log.map(|log| OpenOptions::new().append(true).open(log));
    let log = log.transpose()?;
    let monitor = Monitor::new()?;
    let mut child = parent::command(program)
        .args(arguments)
        .args(monitor.arguments()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, events) = channel();
    let mut commands = match forward(&mut child, monitor, watch, log, sender) {
        Ok(commands) => commands,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    let mut guest = Guest {
        child: &mut child,
        console: Console::new(Instant::now()),
        events,
        pending,
        expects: false,
    };
    guest.expects = !guest.pending.is_empty();
    let ending = guest.follow(&mut commands, watch);
    end(&mut child, &mut commands)?;
    ending
}

/// Starts the threads that forward what QEMU prints, its messages, and the outcomes of requests.
fn forward(
    child: &mut Child,
    monitor: Monitor,
    watch: &Watch<'_>,
    log: Option<File>,
    events: Sender<Event>,
) -> io::Result<Commands> {
    if let Some(output) = child.stdout.take() {
        let events = events.clone();
        thread::Builder::new().spawn(move || forward_console(output, log, &events))?;
    }
    if let Some(errors) = child.stderr.take() {
        let (events, registers) = (events.clone(), watch.registers);
        thread::Builder::new().spawn(move || forward_errors(errors, registers, &events))?;
    }
    for (host, page) in watch.pages.clone() {
        let events = events.clone();
        let report = move |page: &Page, outcome| events.send(Event::Requested(page.clone(), outcome)).is_ok();
        thread::Builder::new().spawn(move || expect::request(host, &page, |outcome| report(&page, outcome)))?;
    }
    monitor.listen(move |message| {
        // Nobody listens once the guest has ended.
        let _ = events.send(Event::Monitor(message));
    })
}

/// A guest that is watched.
struct Guest<'a> {
    child: &'a mut Child,
    console: Console,
    events: Receiver<Event>,
    pending: &'a mut Pending,
    /// True if something is expected of it.
    expects: bool,
}

impl Guest<'_> {
    fn follow(&mut self, commands: &mut Commands, watch: &Watch<'_>) -> io::Result<Ending> {
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::InternalError) if watch.accelerated => return Ok(failed(Symptom::InternalError, commands)),
                Ok(Event::Monitor(Message::Shutdown { reset: false })) => {
                    self.drain();
                    return Ok(self.met().unwrap_or(Ending::Off));
                }
                Ok(Event::Monitor(Message::Shutdown { reset: true } | Message::Reset)) => {
                    self.drain();
                    // Without a console nobody knows whether the kernel announced it.
                    if self.console.announced_reset() || !watch.has_console || !watch.accelerated {
                        return Ok(self.met().unwrap_or(Ending::Off));
                    }
                    return Ok(failed(Symptom::Reset, commands));
                }
                Ok(Event::Monitor(Message::Stop)) if watch.accelerated => {
                    if commands.is_internal_error() {
                        return Ok(failed(Symptom::InternalError, commands));
                    }
                    // Later it is the user who stops the guest, in QEMU's monitor.
                    if watch.has_console && !self.console.kernel_seen() {
                        return Ok(failed(Symptom::Paused, commands));
                    }
                }
                Ok(event) => self.push(event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if let Some(status) = self.child.try_wait()? {
                        self.drain();
                        if watch.accelerated && is_crash(status) && !self.console.kernel_seen() {
                            return Ok(failed(Symptom::Ended, commands));
                        }
                        return Ok(self.met().unwrap_or(Ending::Exited(status)));
                    }
                    if watch.accelerated && watch.has_console && self.console.is_silent(Instant::now()) {
                        return Ok(failed(Symptom::Silent, commands));
                    }
                }
            }
            if let Some(met) = self.met() {
                return Ok(met);
            }
            if self.expects && self.console.halted() {
                return Ok(Ending::Panicked);
            }
            if watch.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Ending::TimedOut);
            }
        }
    }

    fn push(&mut self, event: Event) {
        match event {
            Event::Console(bytes) => {
                self.console.push(&bytes, Instant::now());
                self.pending.push(&bytes);
            }
            Event::Requested(page, outcome) => self.pending.requested(&page, outcome),
            Event::InternalError | Event::Monitor(_) => {}
        }
    }

    /// Takes in what is still on its way, such as the kernel's last lines.
    fn drain(&mut self) {
        let last = Instant::now() + DRAIN_TIMEOUT;
        while let Ok(event) = self.events.recv_timeout(TICK) {
            self.push(event);
            if Instant::now() >= last {
                return;
            }
        }
    }

    /// Returns the end of a guest of which everything expected was seen.
    fn met(&self) -> Option<Ending> {
        (self.expects && self.pending.is_empty()).then_some(Ending::Met)
    }
}

/// Returns whether QEMU crashed: a signal ended it, on Windows an exception or `abort`, whose statuses
/// are an NTSTATUS of severity "error" and 3.
fn is_crash(status: ExitStatus) -> bool {
    match status.code() {
        None => true,
        Some(code) => cfg!(windows) && (code == 3 || code < 0),
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

/// Shows the console on standard output, and writes it to the log.
fn forward_console(mut output: impl Read, mut log: Option<File>, events: &Sender<Event>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default();
        // A reader of the console that has gone away does not end the guest.
        let _ = io::stdout().write_all(bytes).and_then(|()| io::stdout().flush());
        if let Some(log) = &mut log {
            // A disk that is full does not end the guest either.
            let _ = log.write_all(bytes);
        }
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
