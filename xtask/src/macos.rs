//! `cargo xtask macos`: moby and its tests compile for macOS. Nothing is linked, as that takes
//! Apple's libraries, and nothing is run.

use crate::foreign;

/// Checks the types of the program, the library and the tests. The packages that run in the
/// machine are for Linux alone.
pub fn check() -> Result<(), String> {
    foreign::install()?;
    let mut command = foreign::cargo("check", "aarch64-apple-darwin", "macos");
    command.args(["--package", "moby", "--all-targets"]);
    // Only macros are run.
    command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
    foreign::succeed(command)
}
