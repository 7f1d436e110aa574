//! What a filesystem cannot hold.

use tree::show;

use crate::Type;

/// Why there is no filesystem.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// FAT has folders and regular files only.
    #[error(
        "FAT holds files and folders, and {} is {what}\nhelp: leave it out, or put it as a file",
        show(path)
    )]
    Kind {
        /// The path.
        path: Vec<u8>,
        /// What it is.
        what: &'static str,
    },
    /// A name that is not UTF-8, too long, or with characters that FAT does not have.
    #[error("{} cannot stand on FAT: {what}\nhelp: give it another name", show(path))]
    Name {
        /// The path.
        path: Vec<u8>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two names that differ in case only.
    #[error(
        "{} and {} are one name on FAT, which has no difference of case\nhelp: rename one of them",
        show(path),
        show(other)
    )]
    SameName {
        /// The second.
        path: Vec<u8>,
        /// The first.
        other: Vec<u8>,
    },
    /// A file of 4 GiB or more.
    #[error(
        "{} has {len} bytes, and a file on FAT has at most {}\nhelp: put it on another filesystem, or split it",
        show(path),
        crate::LARGEST_FILE
    )]
    LargeFile {
        /// The path.
        path: Vec<u8>,
        /// Its length in bytes.
        len: u64,
    },
    /// A folder with more names than it can have.
    #[error(
        "{} needs {entries} directory entries, and a folder on FAT has at most {}\nhelp: divide it (a long name needs several entries)",
        show(path),
        crate::MOST_ENTRIES
    )]
    LargeFolder {
        /// The path.
        path: Vec<u8>,
        /// How many entries it would need.
        entries: usize,
    },
    /// A label that FAT does not have.
    #[error("{label:?} cannot be the label of a FAT volume: {what}")]
    Label {
        /// The label.
        label: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The content needs more room than there is.
    #[error("the files need a FAT filesystem of {needed} bytes, and it is to have {size}: {} bytes are missing\nhelp: make it larger, or put less on it", needed.saturating_sub(*size))]
    TooSmall {
        /// The least length in bytes.
        needed: u64,
        /// The length given, in bytes.
        size: u64,
    },
    /// No size of clusters gives a number of them that the type allows.
    #[error("a filesystem of {size} bytes cannot be {kind}: that has {} to {} clusters of 512 to 32768 bytes\nhelp: take another size, or leave the type open", kind.clusters().start(), kind.clusters().end())]
    Clusters {
        /// The length in bytes.
        size: u64,
        /// The type asked for.
        kind: Type,
    },
    /// More than FAT can number.
    #[error("{size} bytes are more than FAT can number (2 TiB of sectors)")]
    TooLarge {
        /// The length in bytes.
        size: u64,
    },
}
