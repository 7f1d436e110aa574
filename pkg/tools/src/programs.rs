//! Debian's programs.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs a program to its end, with a text as its input.
///
/// # Errors
/// It cannot be started.
pub fn output(program: &str, arguments: &[&str], input: &str) -> Result<Output, String> {
    let failed = |error: std::io::Error| format!("cannot run {program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that has ended does not read.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(failed)
}

/// Runs a program that must succeed, and returns what it printed.
///
/// # Errors
/// It cannot be started, or ends with an error.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let output = output(program, arguments, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = [program, &arguments.join(" ")].join(" ");
    Err(format!("{line} failed ({}):\n{}", output.status, said.trim()))
}
