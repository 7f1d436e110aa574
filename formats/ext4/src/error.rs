//! Reasons for which a tree has no ext4 filesystem.

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
    /// A file of 16 TiB or more.
    #[error(
        "{} has {len} bytes, but a file on ext4 has at most {}",
        show(path),
        crate::MAX_FILE_LEN
    )]
    LargeFile {
        /// Path of the file.
        path: Vec<u8>,
        /// Length of the file in bytes.
        len: u64,
    },
    /// A directory with more names than its index can have.
    #[error("the directory {} has {names} names, more than its index can hold", show(path))]
    LargeDirectory {
        /// Path of the directory.
        path: Vec<u8>,
        /// Number of names in it.
        names: usize,
    },
    /// A file with more hard links than can be counted.
    #[error(
        "{} has {nlink} hard links, but a file on ext4 has at most {}",
        show(path),
        crate::MAX_LINKS
    )]
    Links {
        /// One of the paths.
        path: Vec<u8>,
        /// Link count.
        nlink: u32,
    },
    /// An extended attribute that ext4 cannot store.
    #[error(
        "the extended attribute {} of {} cannot be stored on ext4: {fault}",
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
    /// Extended attributes that exceed the inode and a block.
    #[error(
        "the extended attributes of {} have {len} bytes, but ext4 stores about 90 in the inode and a block of {}",
        show(path),
        crate::BLOCK
    )]
    Attributes {
        /// Path of the node.
        path: Vec<u8>,
        /// Length of the encoded attributes in bytes.
        len: usize,
    },
    /// `lost+found`, which is a directory on every ext4, is another type of file.
    #[error("lost+found is not a directory, as ext4 requires")]
    LostFound,
    /// A label that ext4 cannot store.
    #[error("{label:?} cannot be the label of an ext4 volume: {fault}")]
    Label {
        /// Label in the options.
        label: String,
        /// Fault of the label.
        fault: &'static str,
    },
    /// A journal that is too small or too large.
    #[error(
        "the journal would have {size} bytes, but it has {} to {}",
        crate::MIN_JOURNAL_LEN,
        crate::MAX_JOURNAL_LEN
    )]
    Journal {
        /// Length in the options, in bytes.
        size: u64,
    },
    /// A path in [`Options::immutable`](crate::Options::immutable) that cannot be immutable.
    #[error("{} cannot be immutable: it is {fault}", show(path))]
    Immutable {
        /// Path in the options.
        path: Vec<u8>,
        /// Type or state of the node.
        fault: &'static str,
    },
    /// The content does not fit the given length.
    #[error(
        "the files need an ext4 filesystem of {needed} bytes, {} more than its size of {size}",
        needed.saturating_sub(*size)
    )]
    TooSmall {
        /// Smallest sufficient length in bytes.
        needed: u64,
        /// Length in the options, in bytes.
        size: u64,
    },
    /// The blocks need more than 32 bits for their number.
    #[error(
        "the filesystem would have {size} bytes or more, but it has at most {} (16 TiB)",
        crate::MAX_BLOCKS * crate::BLOCK
    )]
    TooLarge {
        /// Length that the filesystem would have, in bytes.
        size: u64,
    },
    /// The nodes exceed the inode numbers.
    #[error("the filesystem would have {count} inodes, but it has at most {}", crate::MAX_INODES)]
    Inodes {
        /// Number of inodes that the filesystem would have.
        count: u64,
    },
}

impl Error {
    /// Returns advice for the user, to be shown apart from the message.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Error::Device { .. } => "remove the device, or change its number",
            Error::LargeFile { .. } => "split the file, or put it on another filesystem",
            Error::LargeDirectory { .. } => "divide the directory into several",
            Error::Links { .. } => "replace some of the hard links by copies",
            Error::Attribute { .. } => "remove the attribute",
            Error::Attributes { .. } => "remove or shorten some of the attributes",
            Error::LostFound => "rename it",
            Error::Label { .. } => "use a label of at most 16 bytes",
            Error::Journal { .. } => "choose another journal size, or do not set one",
            Error::Immutable { .. } => "name files and directories of the tree",
            Error::TooSmall { .. } => "increase the size, or remove files",
            Error::TooLarge { .. } => "reduce the size, or remove files",
            Error::Inodes { .. } => "remove files",
        })
    }
}
