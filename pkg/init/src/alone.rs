//! Tests that need a process of their own.

#![allow(clippy::unwrap_used)]

use std::process::Command;

const WITHIN: &str = "MOBY_TEST_ALONE";

/// Runs a test again in a process of its own, started by the given words. Returns whether this is
/// that process.
pub fn is_alone(test: &str, through: &[&str]) -> bool {
    if std::env::var_os(WITHIN).is_some() {
        return true;
    }
    let this = std::env::current_exe().unwrap();
    let words: Vec<&str> = through.iter().copied().chain([this.to_str().unwrap()]).collect();
    let (program, arguments) = words.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).args(["--exact", test, "--nocapture"]);
    assert!(command.env(WITHIN, "yes").status().unwrap().success());
    false
}
