//! What a developer of moby runs: `cargo xtask ...`.

use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask test";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("test") => run(Command::new("cargo").args(["test", "--workspace"])),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command on this terminal and passes its verdict on.
fn run(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: could not start {:?}: {error}", command.get_program());
            ExitCode::FAILURE
        }
    }
}
