//! `cargo xtask deny`: the rules of deny.toml.

use std::process::{Command, Stdio};

/// Runs cargo-deny, which is not installed by this: building it takes many minutes.
pub fn check() -> Result<(), String> {
    let version = Command::new("cargo")
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        return Err(
            "cargo-deny is not installed\nhelp: `cargo install --locked cargo-deny`, which takes its time, or a \
                    release of github.com/EmbarkStudios/cargo-deny put into PATH"
                .into(),
        );
    }
    crate::run("cargo", &["deny", "check"])
}
