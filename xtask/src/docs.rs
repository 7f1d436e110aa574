//! `cargo xtask docs`: the generated pages of the documentation.

use std::process::Command;

use crate::error::{Error, Result, cannot};

/// Writes docs/reference/cli.md and target/man/*.1; with `--check`, only checks all pages.
pub fn run(option: Option<&str>) -> Result {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--package", "moby", "--test", "it", "cli::docs::"]);
    match option {
        Some("--check") => {}
        None => {
            cargo.env("UPDATE_DOCS", "1");
        }
        Some(other) => {
            let message = format!("unknown option {other}");
            return Err(Error::new(message).help("use --check to compare without writing"));
        }
    }
    let status = cargo.status().map_err(cannot("run cargo"))?;
    if !status.success() {
        return Err(Error::new("the documentation has mistakes, listed above"));
    }
    Ok(())
}
