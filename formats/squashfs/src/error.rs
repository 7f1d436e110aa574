//! Reasons for which a tree has no squashfs filesystem.

use std::io;
use std::path::PathBuf;

use tree::show;

use crate::compressor::Compressor;

/// Reason for which no filesystem is planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A block size that squashfs does not have.
    #[error("a squashfs block cannot have {size} bytes")]
    BlockSize {
        /// Size in the options, in bytes.
        size: u32,
    },
    /// A level that the compressor does not have.
    #[error("{} has levels from {} to {}, not {level}", compressor.name(), compressor.levels().start(), compressor.levels().end())]
    Level {
        /// Compressor in the options.
        compressor: Compressor,
        /// Level in the options.
        level: u32,
    },
    /// A device number that squashfs cannot store.
    #[error(
        "the device {} has the number {major}:{minor}, but squashfs has numbers up to 4095:1048575",
        show(path)
    )]
    Device {
        /// Path of the device.
        path: Vec<u8>,
        /// Number of the driver.
        major: u32,
        /// Number of the device.
        minor: u32,
    },
    /// An extended attribute that squashfs cannot store.
    #[error(
        "the extended attribute {} of {} cannot be stored on squashfs: {fault}",
        show(name),
        show(path)
    )]
    Attribute {
        /// Path of the node.
        path: Vec<u8>,
        /// Full name of the attribute.
        name: Vec<u8>,
        /// Fault of the attribute.
        fault: &'static str,
    },
    /// A file that is too long.
    #[error(
        "{} has {len} bytes, but a file on squashfs has at most {}",
        show(path),
        crate::MAX_FILE_LEN
    )]
    LargeFile {
        /// Path of the file.
        path: Vec<u8>,
        /// Length of the file in bytes.
        len: u64,
    },
    /// A directory whose entries exceed 4 GiB.
    #[error("the directory {} has entries of more than 4 GiB", show(path))]
    LargeDirectory {
        /// Path of the directory.
        path: Vec<u8>,
    },
    /// The users and groups exceed the table.
    #[error(
        "{} belongs to user {uid} and group {gid}, but squashfs stores at most {} different numbers",
        show(path),
        crate::MAX_IDS
    )]
    Ids {
        /// First path beyond the limit.
        path: Vec<u8>,
        /// User ID of the owner.
        uid: u32,
        /// Group ID of the owner.
        gid: u32,
    },
    /// A table whose blocks need more than 32 bits for their position.
    #[error("the {table} table has more than 4 GiB")]
    LargeTable {
        /// Name of the table.
        table: &'static str,
    },
    /// A content that could not be read.
    #[error("cannot read the content of {}: {source}", show(path))]
    Read {
        /// Path of the file.
        path: Vec<u8>,
        /// Error of the read.
        source: io::Error,
    },
    /// The temporary file of compressed blocks could not be created or written.
    #[error("cannot store compressed blocks in {}: {source}", temp_dir.display())]
    Spill {
        /// Directory of the file.
        temp_dir: PathBuf,
        /// Error of the write.
        source: io::Error,
    },
    /// A compressor failed.
    #[error("{} failed: {source}", compressor.name())]
    Compress {
        /// Compressor in the options.
        compressor: Compressor,
        /// Error of the compressor.
        source: io::Error,
    },
}

impl Error {
    /// Returns advice for the user, to be shown apart from the message.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Error::BlockSize { .. } => Some("use a power of two from 4096 to 1048576, such as 131072"),
            Error::Device { .. } => Some("remove the device, or change its number"),
            Error::Attribute { .. } => Some("remove the attribute"),
            Error::LargeFile { .. } => Some("split the file, or put it on another filesystem"),
            Error::LargeDirectory { .. } => Some("divide the directory into several"),
            Error::LargeTable { .. } => Some("remove files"),
            _ => None,
        }
    }
}
