//! `cargo xtask macos`: moby and its tests compile for macOS. Linking would take Apple's libraries.

use crate::command::succeed;
use crate::cross;
use crate::error::Result;

/// Checks the program, the library and the tests. The packages that run in the machine are for
/// Linux only.
pub fn check() -> Result {
    cross::install()?;
    let mut command = cross::cargo("check", "aarch64-apple-darwin", "macos");
    command.args(["--package", "moby", "--all-targets"]);
    // Of the compiled code, only macros run.
    command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
    succeed(command)
}
