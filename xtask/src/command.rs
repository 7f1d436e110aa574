//! Commands that a task runs, and the directory that they start from.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result, cannot};

/// Returns the root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Runs a command.
///
/// # Errors
/// A command that cannot be started or fails.
pub fn succeed(mut command: impl std::borrow::BorrowMut<Command>) -> Result {
    let command = command.borrow_mut();
    let status = command.status().map_err(cannot(format!("run {command:?}")))?;
    if !status.success() {
        return Err(Error::new(format!("{command:?} ended with {status}")));
    }
    Ok(())
}
