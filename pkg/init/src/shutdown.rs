//! Requests to stop the machine, and how it stops.
//!
//! A request is carried out by the thread that receives it, whatever the main thread waits for: a
//! machine can be powered off while an onboot container hangs.

use std::io::Read;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::system::{RebootCommand, reboot};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::supervisor::Supervisor;
use crate::{console, containers, disks, log, process, terminate};

/// Time after which the main thread looks for children that have ended, should a signal get lost.
const REAP_INTERVAL: Duration = Duration::from_secs(10);

/// The thread that stops the machine. Locked while children are reaped, so that no other thread
/// takes the exit status of a child that this one waits for.
static STOPPING: Mutex<Option<ThreadId>> = Mutex::new(None);

/// Way to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    PowerOff,
    Reboot,
    Halt,
}

impl Action {
    /// Returns the action that a name of this program stands for.
    pub fn from_program(name: &str) -> Option<Action> {
        match name.rsplit('/').next()? {
            "poweroff" => Some(Action::PowerOff),
            "reboot" => Some(Action::Reboot),
            "halt" => Some(Action::Halt),
            _ => None,
        }
    }

    /// Asks PID 1 by the signal that busybox's init knows for it.
    pub fn request(self) -> ExitCode {
        let signal = match self {
            Action::PowerOff => Signal::USR2,
            Action::Reboot => Signal::TERM,
            Action::Halt => Signal::USR1,
        };
        match kill_process(Pid::INIT, signal) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("cannot signal PID 1: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Begins to listen for requests. The receiver gets a message when a child may have ended.
pub fn listen() -> Receiver<()> {
    // Ctrl-Alt-Del becomes SIGINT, rather than a reset.
    let _ = reboot(RebootCommand::CadOff);
    let (sender, children) = channel();
    let receive = |mut signals: Signals| {
        move || {
            for signal in signals.forever() {
                match signal {
                    SIGUSR2 => stop(Action::PowerOff),
                    SIGTERM | SIGINT => stop(Action::Reboot),
                    SIGUSR1 => stop(Action::Halt),
                    _ => {
                        let _ = sender.send(());
                    }
                }
            }
        }
    };
    let signals = Signals::new([SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2]);
    let started = signals.and_then(|signals| std::thread::Builder::new().spawn(receive(signals)));
    if let Err(error) = started {
        log(&format!("cannot receive signals: {error}"));
    }
    children
}

/// Reaps children and restarts services for as long as the machine runs.
pub fn supervise(children: &Receiver<()>, mut services: Supervisor) -> ! {
    loop {
        for (pid, status) in reap() {
            services.child_ended(pid, status);
        }
        let next = services.restart().unwrap_or(REAP_INTERVAL).min(REAP_INTERVAL);
        if let Err(RecvTimeoutError::Disconnected) = children.recv_timeout(next) {
            // Without signals.
            std::thread::sleep(next.min(Duration::from_secs(1)));
        }
    }
}

/// Reaps the children that have ended, without waiting.
pub fn reap() -> Vec<(Pid, i32)> {
    let stopping = stopping();
    if is_elsewhere(*stopping) {
        drop(stopping);
        park();
    }
    process::reap()
}

/// Returns whether the machine stops.
pub fn is_stopping() -> bool {
    stopping().is_some()
}

/// Holds up a thread that would start a program while another one stops the machine.
pub fn hold_up() {
    let stopping = *stopping();
    if is_elsewhere(stopping) {
        park();
    }
}

fn stopping() -> MutexGuard<'static, Option<ThreadId>> {
    STOPPING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_elsewhere(stopping: Option<ThreadId>) -> bool {
    stopping.is_some_and(|thread| thread != std::thread::current().id())
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// Begins to listen to the power button, which is an input device.
pub fn watch_power_button() {
    let devices = process::list("/dev/input");
    for device in devices.iter().filter_map(|path| std::fs::File::open(path).ok()) {
        let _ = std::thread::Builder::new().spawn(move || power_button(device));
    }
}

/// Waits for the power key on an input device (struct input_event: time 16 bytes, type EV_KEY 1, code
/// KEY_POWER 116, value 1 when pressed).
fn power_button(mut device: std::fs::File) {
    let mut event = [0; 24];
    while device.read_exact(&mut event).is_ok() {
        if event.get(16..24) == Some(&[1, 0, 116, 0, 1, 0, 0, 0]) {
            log("power button pressed");
            let _ = kill_process(Pid::INIT, Signal::USR2);
        }
    }
}

/// Runs the onshutdown containers, ends all processes, releases the disks and stops the machine.
fn stop(action: Action) {
    *stopping() = Some(std::thread::current().id());
    log("stopping");
    containers::run_in_order("onshutdown");
    process::run_parts("/etc/shutdown.d");
    terminate::all();
    disks::release();
    log("down");
    console::close();
    let command = match action {
        Action::PowerOff => RebootCommand::PowerOff,
        Action::Reboot => RebootCommand::Restart,
        Action::Halt => RebootCommand::Halt,
    };
    if let Err(error) = reboot(command) {
        log(&format!("cannot stop the machine: {error}"));
    }
    park()
}
