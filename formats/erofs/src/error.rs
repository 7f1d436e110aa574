//! Reasons for which a tree has no EROFS filesystem.

use std::io;
use std::path::PathBuf;

use tree::show;

/// Reason for which no filesystem is planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device number that Linux does not have.
    #[error(
        "the device {} has the number {major}:{minor}, but Linux has numbers up to 4095:1048575",
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
    /// An extended attribute that EROFS cannot store.
    #[error(
        "the extended attribute {} of {} cannot be stored on EROFS: {fault}",
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
    /// Extended attributes that exceed an inode.
    #[error(
        "the extended attributes of {} have {len} bytes, but an inode on EROFS has at most {}",
        show(path),
        crate::MAX_XATTRS_LEN
    )]
    Attributes {
        /// Path of the node.
        path: Vec<u8>,
        /// Length of the encoded attributes in bytes.
        len: usize,
    },
    /// A file that is too long.
    #[error(
        "{} has {len} bytes, but a file on EROFS has at most {}",
        show(path),
        crate::MAX_FILE_LEN
    )]
    LargeFile {
        /// Path of the file.
        path: Vec<u8>,
        /// Length of the file in bytes.
        len: u64,
    },
    /// A label that EROFS cannot store.
    #[error("{label:?} cannot be the label of an EROFS volume: {fault}")]
    Label {
        /// Label in the options.
        label: String,
        /// Fault of the label.
        fault: &'static str,
    },
    /// The blocks need more than 32 bits for their number.
    #[error(
        "the filesystem would have {blocks} blocks of 4096 bytes, but it has at most {}",
        crate::MAX_BLOCKS
    )]
    TooLarge {
        /// Number of blocks that the filesystem would have.
        blocks: u64,
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
}

impl Error {
    /// Returns advice for the user, to be shown apart from the message.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Error::Device { .. } => Some("remove the device, or change its number"),
            Error::Attribute { .. } => Some("remove the attribute"),
            Error::Attributes { .. } => Some("remove or shorten some of the attributes"),
            Error::LargeFile { .. } => Some("split the file, or put it on another filesystem"),
            Error::Label { .. } => Some("use a label of at most 16 bytes"),
            Error::TooLarge { .. } => Some("remove files"),
            _ => None,
        }
    }
}
