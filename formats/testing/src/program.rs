//! Programs that judge what was made.

use std::path::Path;
use std::process::Command;

/// Runs a program, which must be content with the file, and returns what it says. Those that are
/// there for root are found too.
pub fn checked(program: &str, arguments: &[&str], file: &Path) -> String {
    let directories = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    let out = command
        .env("PATH", directories)
        .args(arguments)
        .arg(file)
        .output()
        .unwrap_or_else(|error| panic!("{program} is missing, see xtask: {error}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(out.status.success(), "{program} {}: {text}", file.display());
    text
}
