//! Waiting for the end, and the end.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::system::{RebootCommand, reboot};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::containers::{self, Services};
use crate::{mounts, process, say};

/// How often, and how many times, to look whether the processes have ended that want to do something
/// at SIGTERM: five seconds, as in LinuxKit.
const GRACE: (Duration, u32) = (Duration::from_millis(50), 100);

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    PowerOff,
    Reboot,
    Halt,
}

impl Action {
    /// What a name of the program asks for.
    pub fn of_program(name: &str) -> Option<Action> {
        match name.rsplit('/').next()? {
            "poweroff" => Some(Action::PowerOff),
            "reboot" => Some(Action::Reboot),
            "halt" => Some(Action::Halt),
            _ => None,
        }
    }

    /// Asks PID 1, with the signals that busybox's init has for this.
    pub fn ask(self) -> ExitCode {
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

/// The signals that PID 1 listens to from its start.
pub fn signals() -> Option<Signals> {
    let signals = Signals::new([SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2]);
    signals.map_err(|error| say(&format!("signals: {error}"))).ok()
}

/// Reaps children until somebody wants the machine to stop.
pub fn wait(signals: &mut Option<Signals>, mut services: Services) -> Action {
    // Ctrl-Alt-Del becomes SIGINT.
    let _ = reboot(RebootCommand::CadOff);
    loop {
        // Children may have ended before anybody listened.
        for (pid, status) in process::ended() {
            if let Some(name) = services.remove(&Pid::as_raw(Some(pid))) {
                say(&format!("service {name} ended: exit status {status}"));
            }
        }
        let Some(signals) = signals else {
            std::thread::sleep(Duration::from_secs(1));
            continue;
        };
        for signal in signals.wait() {
            match signal {
                SIGUSR2 => return Action::PowerOff,
                SIGTERM | SIGINT => return Action::Reboot,
                SIGUSR1 => return Action::Halt,
                _ => {}
            }
        }
    }
}

/// Begins to listen to the power button, which is an input device.
pub fn watch_power_button() {
    let devices = process::list("/dev/input");
    for device in devices.iter().filter_map(|path| std::fs::File::open(path).ok()) {
        std::thread::spawn(move || power_button(device));
    }
}

/// Waits for the power key on an input device (struct input_event: time 16 bytes, type EV_KEY
/// 1, code KEY_POWER 116, value 1 when pressed).
fn power_button(mut device: std::fs::File) {
    let mut event = [0; 24];
    while device.read_exact(&mut event).is_ok() {
        if event.get(16..24) == Some(&[1, 0, 116, 0, 1, 0, 0, 0]) {
            say("power button");
            let _ = kill_process(Pid::INIT, Signal::USR2);
        }
    }
}

/// Runs the onshutdown containers, ends everything and stops the machine.
pub fn stop(action: Action) -> ExitCode {
    say("stopping");
    containers::run_in_order("onshutdown");
    process::run_parts("/etc/shutdown.d");
    // containerd kills the containers whose shims are gone, before they have done what they want to do.
    for shims in [false, true] {
        let some = || running().into_iter().filter(move |pid| is_containerd(*pid) == shims);
        signal(some(), Signal::TERM);
        for _ in 0..GRACE.1 {
            process::ended();
            if !some().any(heeds_term) {
                break;
            }
            std::thread::sleep(GRACE.0);
        }
    }
    signal(running().into_iter(), Signal::KILL);
    process::ended();
    rustix::fs::sync();
    mounts::leave_disks();
    say("down");
    let command = match action {
        Action::PowerOff => RebootCommand::PowerOff,
        Action::Reboot => RebootCommand::Restart,
        Action::Halt => RebootCommand::Halt,
    };
    if let Err(error) = reboot(command) {
        say(&format!("cannot stop the machine: {error}"));
    }
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn signal(processes: impl Iterator<Item = i32>, signal: Signal) {
    for pid in processes.filter_map(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process is containerd or one of its shims, by the name of the program.
fn is_containerd(pid: i32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name == b"containerd" || name.starts_with(b"containerd-shim")
}

/// The processes that run, but for this one.
fn running() -> Vec<i32> {
    let numbers = process::list("/proc").into_iter().filter_map(|path| {
        let number: i32 = path.rsplit('/').next()?.parse().ok()?;
        // Kernel threads have no command line and take no signals; nor has what has ended.
        let has_words = std::fs::read(format!("{path}/cmdline")).is_ok_and(|line| !line.is_empty());
        (number > 1 && has_words).then_some(number)
    });
    numbers.collect()
}

/// Whether a process catches SIGTERM, or takes it by a wait (proc_pid_status(5)). One that does not has
/// ended by it, or will never: the first of a container, which nothing ends that it has not asked for.
fn heeds_term(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    ["SigCgt:", "SigBlk:"].iter().any(|field| {
        let mask = status.lines().find_map(|line| line.strip_prefix(field));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.unwrap_or(0) >> (SIGTERM - 1) & 1 == 1
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::heeds_term;

    #[test]
    fn only_who_asks_for_sigterm_is_waited_for() {
        for (script, heeds) in [
            ("exec sleep 9", false),
            ("trap : TERM; echo; read x < /dev/null; sleep 9", true),
        ] {
            let mut shell = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let wait = std::time::Duration::from_millis(20);
            let found = (0..100).any(|_| {
                std::thread::sleep(wait);
                heeds_term(shell.id() as i32)
            });
            shell.kill().unwrap();
            shell.wait().unwrap();
            assert_eq!(found, heeds, "{script}");
        }
    }
}
