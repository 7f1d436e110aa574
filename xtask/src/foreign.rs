//! The compiler for other operating systems: Debian's, which has the sources of the standard
//! library with it and builds that for any target.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::debian;

const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Installs the compiler.
pub fn install() -> Result<(), String> {
    debian::want(PACKAGES)
}

/// `cargo TASK` for a target, in a folder of its own below `target`.
pub fn cargo(task: &str, target: &str, folder: &str) -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    // A compiler of rustup's would win otherwise, and bring its libraries.
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC", "/usr/bin/rustc");
    command.env_remove("LD_LIBRARY_PATH").env_remove("RUSTUP_TOOLCHAIN");
    // Cargo gives its own input to rustc, which reads a program from it.
    command.stdin(Stdio::null());
    // What -Zbuild-std needs in a stable compiler.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
        .args([task, "--locked", "-Zbuild-std=std,panic_abort,test", "--target", target])
        .arg("--target-dir")
        .arg(Path::new("target").join(folder))
        .current_dir(root());
    command
}

/// Runs a command that must succeed.
pub fn succeed(mut command: Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("cannot run {command:?}: {error}")),
    }
}
