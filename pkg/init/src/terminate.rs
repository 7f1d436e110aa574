//! The end of all processes, which comes before the end of their filesystems: the mount namespace of
//! a container keeps a disk mounted as long as one of its processes is there.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::SIGTERM;

use crate::{log, process};

/// Maximum time from SIGTERM to SIGKILL, as in LinuxKit.
const GRACE: Duration = Duration::from_secs(5);
/// Maximum time from SIGKILL to the end of a process, which may wait for a disk meanwhile.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two looks at the processes.
const INTERVAL: Duration = Duration::from_millis(20);
/// Flag of kernel threads (`PF_KTHREAD`, include/linux/sched.h).
const PF_KTHREAD: u32 = 0x0020_0000;

/// Ends all processes but this one: SIGTERM, a time of grace for those that handle it, SIGKILL.
/// Returns when they have ended and released their files and mounts.
pub fn all() {
    // containerd kills the containers of a shim that has ended, so both have to outlive them.
    for containerd in [false, true] {
        let some = || {
            let running = running().into_iter().filter(|process| !process.is_zombie());
            running.filter(move |process| process.is_containerd() == containerd)
        };
        some().for_each(|process| process.signal(Signal::TERM));
        let start = Instant::now();
        while some().any(|process| process.handles_term()) && start.elapsed() < GRACE {
            std::thread::sleep(INTERVAL);
            process::reap();
        }
    }
    let start = Instant::now();
    loop {
        process::reap();
        let left = running();
        if left.is_empty() {
            return;
        }
        if start.elapsed() > KILL_TIMEOUT {
            let names: Vec<String> = left.iter().map(Process::to_string).collect();
            log(&format!("cannot kill the processes {}", names.join(", ")));
            return;
        }
        // Every time, since one that forked meanwhile has children that were not seen before.
        left.iter().for_each(|process| process.signal(Signal::KILL));
        std::thread::sleep(INTERVAL);
    }
}

/// A process, by its line in /proc/PID/stat (proc_pid_stat(5)).
struct Process {
    pid: Pid,
    name: String,
    state: String,
    flags: u32,
}

impl Process {
    /// Parses "PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS ...". The name can have any
    /// characters.
    fn parse(stat: &str) -> Option<Process> {
        let (start, rest) = stat.rsplit_once(')')?;
        let (pid, name) = start.split_once('(')?;
        let mut fields = rest.split_whitespace();
        Some(Process {
            pid: Pid::from_raw(pid.trim().parse().ok()?)?,
            name: name.to_owned(),
            state: fields.next()?.to_owned(),
            flags: fields.nth(5)?.parse().ok()?,
        })
    }

    /// Returns whether the process has ended, and its parent has not taken note of it yet.
    fn is_zombie(&self) -> bool {
        ["Z", "X"].contains(&self.state.as_str())
    }

    fn signal(&self, signal: Signal) {
        // It may have ended.
        let _ = kill_process(self.pid, signal);
    }

    /// Returns whether the program is containerd or one of its shims.
    fn is_containerd(&self) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        name == b"containerd" || name.starts_with(b"containerd-shim")
    }

    /// Returns whether the process catches SIGTERM, or blocks it to take it by sigwait (proc_pid_status(5)).
    /// A process that does neither was killed by the signal, unless it is the first of a PID namespace, where
    /// the signal is ignored.
    fn handles_term(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        ["SigCgt:", "SigBlk:"].iter().any(|field| {
            let mask = status.lines().find_map(|line| line.strip_prefix(field));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.unwrap_or(0) >> (SIGTERM - 1) & 1 == 1
        })
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} ({}, state {})", self.pid, self.name, self.state)
    }
}

/// Returns all processes but this one and the kernel's threads. One that is about to end counts, although
/// its command line is gone already: its mount namespace goes later (do_exit, kernel/exit.c).
fn running() -> Vec<Process> {
    // Not /proc/thread-self, which is a thread of this process.
    let is_process = |path: &String| path.ends_with(|last: char| last.is_ascii_digit());
    let paths = process::list("/proc").into_iter().filter(is_process);
    let stats = paths.filter_map(|path| fs::read_to_string(format!("{path}/stat")).ok());
    let processes = stats.filter_map(|stat| Process::parse(&stat));
    processes
        .filter(|process| process.pid != Pid::INIT && process.flags & PF_KTHREAD == 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_processes_that_handle_sigterm_are_waited_for() {
        for (script, handles) in [
            ("exec sleep 9", false),
            ("trap : TERM; echo; read x < /dev/null; sleep 9", true),
        ] {
            let mut shell = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let found = (0..100).any(|_| {
                std::thread::sleep(INTERVAL);
                let stat = fs::read_to_string(format!("/proc/{}/stat", shell.id())).unwrap();
                Process::parse(&stat).unwrap().handles_term()
            });
            shell.kill().unwrap();
            shell.wait().unwrap();
            assert_eq!(found, handles, "{script}");
        }
    }

    #[test]
    fn processes_are_told_from_kernel_threads_and_zombies() {
        let parsed = |stat: &str| Process::parse(stat).unwrap();
        let thread = parsed("15 (kworker/0:1-events) I 2 0 0 0 -1 69238880 0 0\n");
        assert!(thread.flags & PF_KTHREAD != 0 && !thread.is_zombie());
        let zombie = parsed("7 (a) b) Z 1 7 7 0 -1 4194572 0 0\n");
        assert!(zombie.flags & PF_KTHREAD == 0 && zombie.is_zombie());
        assert_eq!(zombie.to_string(), "7 (a) b, state Z)");
        assert!(Process::parse("7 (a").is_none());
    }

    #[test]
    fn a_process_without_a_command_line_counts() {
        // A zombie has none, as has a process that is about to end.
        let mut child = Command::new("true").spawn().unwrap();
        let is_there = || {
            running()
                .iter()
                .any(|process| process.pid.as_raw_nonzero().get() == child.id() as i32)
        };
        let thread = fs::read_link("/proc/thread-self").unwrap();
        let is_this_thread = |process: &Process| thread.ends_with(process.pid.to_string());
        assert!(!running().iter().any(is_this_thread));
        let found = (0..100).any(|_| {
            std::thread::sleep(INTERVAL);
            let line = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
            line.is_empty() && is_there()
        });
        child.wait().unwrap();
        assert!(found);
    }
}
