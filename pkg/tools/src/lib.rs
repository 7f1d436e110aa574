//! Shared code of the programs for disks. They take the arguments of LinuxKit's `pkg/format`,
//! `pkg/mount`, `pkg/extend` and `pkg/swap`, and leave the filesystems to Debian's programs.

pub mod disks;
pub mod error;
pub mod flags;
pub mod programs;
pub mod sizes;

use std::process::ExitCode;

pub use error::Error;

/// Returns the exit status of a program, after its error was printed.
pub fn finish(program: &str, result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
