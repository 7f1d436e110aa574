//! Standard output.

use std::io::{self, Write};

use extents::{Extents, emit};

use super::Failure;
use crate::diagnostic::Diagnostic;

/// Checks that standard output can be written, before work is done for it.
///
/// # Errors
/// A standard output that was closed before the program was started.
pub fn check() -> Result<(), Failure> {
    if is_closed() {
        let message = "cannot write to standard output: it is closed";
        return Err(Failure::Usage(
            Diagnostic::error(message)
                .help("name a file with --output FILE; --output /dev/null discards the output")
                .into(),
        ));
    }
    Ok(())
}

/// Writes a content to standard output.
///
/// # Errors
/// A standard output that is closed, by this side or the reader's.
pub fn write(content: &Extents) -> Result<(), Failure> {
    check()?;
    let mut out = io::stdout().lock();
    let written = emit::stream(content, &mut out).and_then(|()| out.flush());
    written.map_err(|error| {
        let message = format!("cannot write to standard output: {error}");
        Diagnostic::error(message).caused_by(error).into()
    })
}

/// Returns whether standard output was closed when the program was started. Rust's runtime then opens
/// `/dev/null` in its place, for reading and writing, where a redirection opens it for writing only.
/// Programs that give moby such a `/dev/null` themselves cannot be told from that: the help names
/// another way to discard the output.
#[cfg(target_os = "linux")]
fn is_closed() -> bool {
    /// Access mode O_RDWR in the octal flags of proc_pid_fdinfo(5).
    const READ_WRITE: char = '2';
    let target = std::fs::read_link("/proc/self/fd/1");
    let info = std::fs::read_to_string("/proc/self/fdinfo/1").unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    target.is_ok_and(|path| path.as_os_str() == "/dev/null")
        && flags.is_some_and(|flags| flags.trim_end().ends_with(READ_WRITE))
}

#[cfg(not(target_os = "linux"))]
fn is_closed() -> bool {
    false
}
