//! Children, and the orphans that PID 1 inherits: one loop waits for all of them.

use std::process::Command;

use rustix::process::{Pid, WaitOptions, wait};

use crate::say;

/// The entries of a folder as paths, by name.
pub fn list(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<String> = entries
        .map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
        .collect();
    paths.sort();
    paths
}

/// Starts a program; `None`, said on the console, when it cannot be started.
pub fn start(mut command: Command) -> Option<Pid> {
    match command.spawn() {
        // The child is waited for by number, below.
        Ok(child) => Pid::from_raw(child.id() as i32),
        Err(error) => {
            say(&format!(
                "cannot run {}: {error}",
                command.get_program().to_string_lossy()
            ));
            None
        }
    }
}

/// Runs a program to its end; returns its exit status.
pub fn run(command: Command) -> Option<i32> {
    wait_for(start(command)?)
}

/// Waits for a child and reaps whatever else ends meanwhile; returns its exit status.
pub fn wait_for(child: Pid) -> Option<i32> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return Some(status.exit_status().unwrap_or(255)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The children that have ended, without waiting.
pub fn ended() -> Vec<(Pid, i32)> {
    let mut ended = Vec::new();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        ended.push((pid, status.exit_status().unwrap_or(255)));
    }
    ended
}
