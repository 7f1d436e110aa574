//! Reasons why a disk cannot become an image.

use std::io;
use std::path::PathBuf;

use crate::{Compressor, MAX_DISK_LEN};

/// A disk that cannot become a qcow2 image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is longer than QEMU accepts.
    #[error("the disk has {len} bytes, but a qcow2 image with clusters of 64 KiB holds at most {MAX_DISK_LEN}")]
    TooLarge {
        /// Length of the disk in bytes.
        len: u64,
    },
    /// The compressor does not have the level.
    #[error(
        "{} has levels {} to {}, not {level}",
        compressor.name(),
        compressor.levels().start(),
        compressor.levels().end()
    )]
    Level {
        /// The compressor.
        compressor: Compressor,
        /// The level.
        level: u32,
    },
    /// The disk cannot be read.
    #[error("cannot read the disk at byte {offset}: {source}")]
    Read {
        /// Offset in bytes.
        offset: u64,
        /// Error of the read.
        source: io::Error,
    },
    /// The temporary file of compressed clusters cannot be created or written.
    #[error("cannot write compressed clusters to a temporary file in {}: {source}", temp_dir.display())]
    Spill {
        /// Directory of the file.
        temp_dir: PathBuf,
        /// Error of the write.
        source: io::Error,
    },
}
