//! Reasons for which a tree has no FAT filesystem.

use tree::show;

use crate::options::Type;

/// Reason for which no filesystem is planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// FAT stores directories and regular files only.
    #[error("{} is {kind}, but FAT stores only files and directories", show(path))]
    Kind {
        /// Path of the node.
        path: Vec<u8>,
        /// Type of the node, with its article.
        kind: &'static str,
    },
    /// A name that is not UTF-8 or has characters that FAT does not allow.
    #[error("{} cannot be stored on FAT: {fault}", show(path))]
    Name {
        /// Path of the node.
        path: Vec<u8>,
        /// Fault of the name.
        fault: &'static str,
    },
    /// Two names that differ only in case.
    #[error("{} and {} have the same name on FAT, which ignores case", show(path), show(other))]
    SameName {
        /// Path of the second node.
        path: Vec<u8>,
        /// Path of the first node.
        other: Vec<u8>,
    },
    /// A file of 4 GiB or more.
    #[error(
        "{} has {len} bytes, but a file on FAT has at most {}",
        show(path),
        crate::MAX_FILE_LEN
    )]
    LargeFile {
        /// Path of the file.
        path: Vec<u8>,
        /// Length of the file in bytes.
        len: u64,
    },
    /// A directory with more entries than FAT allows.
    #[error(
        "{} needs {entries} directory entries, but a directory on FAT has at most {}",
        show(path),
        crate::MAX_ENTRIES
    )]
    LargeDirectory {
        /// Path of the directory.
        path: Vec<u8>,
        /// Number of entries of 32 bytes that it needs.
        entries: usize,
    },
    /// A label that FAT does not allow.
    #[error("{label:?} cannot be the label of a FAT volume: {fault}")]
    Label {
        /// Label in the options.
        label: String,
        /// Fault of the label.
        fault: &'static str,
    },
    /// The content does not fit the given length.
    #[error(
        "the files need a FAT filesystem of {needed} bytes, {} more than its size of {size}",
        needed.saturating_sub(*size)
    )]
    TooSmall {
        /// Smallest sufficient length in bytes.
        needed: u64,
        /// Length in the options, in bytes.
        size: u64,
    },
    /// No cluster length gives a number of clusters that the type allows.
    #[error(
        "a filesystem of {size} bytes cannot be {kind}, which has {} to {} clusters of 512 to 32768 bytes",
        kind.clusters().start(),
        kind.clusters().end()
    )]
    Clusters {
        /// Length in the options, in bytes.
        size: u64,
        /// Type in the options, or the largest that was tried.
        kind: Type,
    },
    /// The sectors need more than 32 bits for their number.
    #[error("{size} bytes exceed the limit of a FAT filesystem (2 TiB)")]
    TooLarge {
        /// Length that the filesystem would have, in bytes.
        size: u64,
    },
}

impl Error {
    /// Returns advice for the user, to be shown apart from the message.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Error::Kind { .. } => Some("remove it, or replace it by a file"),
            Error::Name { .. } => Some("rename it"),
            Error::SameName { .. } => Some("rename one of them"),
            Error::LargeFile { .. } => Some("split the file, or put it on another filesystem"),
            Error::LargeDirectory { .. } => {
                Some("divide the directory into several, or shorten names: a long name takes several entries")
            }
            Error::Label { .. } => Some("use a label of at most 11 ASCII characters"),
            Error::TooSmall { .. } => Some("increase the size, or remove files"),
            Error::Clusters { .. } => Some("change the size, or do not set the FAT type"),
            _ => None,
        }
    }
}
