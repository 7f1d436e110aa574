//! `cargo xtask deny`: the rules of deny.toml.

use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// Runs cargo-deny, which must be installed: compiling it takes many minutes.
pub fn check() -> Result {
    let version = Command::new("cargo")
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        return Err(Error::new("cargo-deny is not installed").help(
            "run `cargo install --locked cargo-deny`, or put a release of github.com/EmbarkStudios/cargo-deny into PATH",
        ));
    }
    crate::run("cargo", &["deny", "check"])
}
