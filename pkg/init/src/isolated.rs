//! Tests that need a process of their own.

#![allow(clippy::unwrap_used)]

use std::process::Command;

const INSIDE: &str = "MOBY_TEST_ISOLATED";

/// Runs a test again in a new process, through a command such as `unshare`. Returns `true` in that
/// process.
pub fn is_isolated(test: &str, through: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let this = std::env::current_exe().unwrap();
    let line: Vec<&str> = through.iter().copied().chain([this.to_str().unwrap()]).collect();
    let (program, arguments) = line.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).args(["--exact", test, "--nocapture"]);
    assert!(command.env(INSIDE, "yes").status().unwrap().success());
    false
}
