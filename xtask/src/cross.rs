//! Cross compiler for other operating systems: Debian's, since its packages include the sources of
//! the standard library, which it compiles for any target.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::root;
use crate::debian;
use crate::error::Result;

const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// Installs the compiler.
pub fn install() -> Result {
    debian::ensure(PACKAGES)
}

/// Returns the command `cargo TASK` for a target, which writes to `target/DIRECTORY`.
pub fn cargo(task: &str, target: &str, directory: &str) -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    // rustup's compiler would come first otherwise, with its libraries.
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC", "/usr/bin/rustc");
    command.env_remove("LD_LIBRARY_PATH").env_remove("RUSTUP_TOOLCHAIN");
    // Cargo passes its own input to rustc, which reads a program from it.
    command.stdin(Stdio::null());
    // Allows -Zbuild-std in a stable compiler.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
        .args([task, "--locked", "-Zbuild-std=std,panic_abort,test", "--target", target])
        .arg("--target-dir")
        .arg(Path::new("target").join(directory))
        .current_dir(root());
    command
}
