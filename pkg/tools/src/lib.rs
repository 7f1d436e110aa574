//! What the programs for disks share. They take the arguments of LinuxKit's `pkg/format`,
//! `pkg/mount`, `pkg/extend` and `pkg/swap`, and leave the filesystems themselves to Debian's
//! programs.

pub mod disks;
pub mod flags;
pub mod programs;
pub mod sizes;

use std::process::ExitCode;

/// Says what a program did, or why it could not.
pub fn finish(program: &str, done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{program}: {message}");
            ExitCode::FAILURE
        }
    }
}
