//! `cargo xtask macos`: moby and its tests compile for macOS. Linking would take Apple's libraries.

use crate::error::Result;
use crate::foreign;

/// Checks the program, the library and the tests. The packages that run in the machine are for
/// Linux only.
pub fn check() -> Result {
    foreign::install()?;
    let mut command = foreign::cargo("check", "aarch64-apple-darwin", "macos");
    command.args(["--package", "moby", "--all-targets"]);
    // Of the compiled code, only macros run.
    command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
    foreign::succeed(command)
}
