//! Calls of Debian's programs.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::Error;

/// Runs a program to its end, with a text as its standard input.
///
/// # Errors
/// The program cannot be started.
pub fn output(program: &str, arguments: &[&str], input: &str) -> Result<Output, Error> {
    let failed = |source| Error::Run {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that has ended does not read it.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(failed)
}

/// Runs a program that has to succeed. Returns its standard output.
///
/// # Errors
/// The program cannot be started, or its exit status is not 0.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, Error> {
    let output = output(program, arguments, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        command: format!("{program} {}", arguments.join(" ")),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
