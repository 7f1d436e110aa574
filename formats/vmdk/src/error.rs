//! Reasons why a disk cannot become an image.

use std::io;
use std::path::PathBuf;

use crate::MAX_DISK_LEN;

/// A disk that cannot become a VMDK image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is longer than the format can hold.
    #[error("the disk has {len} bytes, but a sparse VMDK image holds at most {MAX_DISK_LEN}")]
    TooLarge {
        /// Length of the disk in bytes.
        len: u64,
    },
    /// The disk cannot be read.
    #[error("cannot read the disk at byte {offset}: {source}")]
    Read {
        /// Offset in bytes.
        offset: u64,
        /// Error of the read.
        source: io::Error,
    },
    /// The temporary file of compressed grains cannot be created or written.
    #[error("cannot write compressed grains to a temporary file in {}: {source}", temp_dir.display())]
    Spill {
        /// Directory of the file.
        temp_dir: PathBuf,
        /// Error of the write.
        source: io::Error,
    },
}
