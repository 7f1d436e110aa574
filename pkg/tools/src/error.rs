//! Errors of the programs for disks.

use std::io;

/// Reason why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong options or arguments.
    #[error("{0}")]
    Usage(String),
    /// Value that an option does not take.
    #[error("{value:?} is not supported; use {supported}")]
    Unsupported {
        /// Value of the option.
        value: String,
        /// Values that it takes.
        supported: &'static str,
    },
    /// Program of Debian's that cannot be started.
    #[error("cannot run {program}: {source}")]
    Run {
        /// Name of the program.
        program: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Program of Debian's that reports an error.
    #[error("{command} failed ({status}):\n{output}")]
    Failed {
        /// Command line.
        command: String,
        /// Exit status.
        status: String,
        /// Standard error.
        output: String,
    },
    /// Device with content that blkid cannot identify, such as the signatures of two filesystems.
    #[error("blkid cannot identify the content of {device}: {output}")]
    Ambiguous {
        /// Path of the device.
        device: String,
        /// Standard error of blkid.
        output: String,
    },
    /// State of a disk that does not allow the operation.
    #[error("{0}")]
    Disk(String),
    /// Call of the operating system that fails.
    #[error("cannot {action}: {source}")]
    System {
        /// Failed action, and its object.
        action: String,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns the conversion of an I/O error of an action.
    pub fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Error {
        let action = action.into();
        move |source| Error::System {
            action,
            source: source.into(),
        }
    }
}
