//! What a filesystem cannot hold.

use tree::show;

/// Why there is no filesystem.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A device number that Linux does not have.
    #[error(
        "the device {} has the number {major}:{minor}, and Linux has up to 4095:1048575\nhelp: leave it out, or change the number",
        show(path)
    )]
    Device {
        /// The path.
        path: Vec<u8>,
        /// Which driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
    /// A file of 16 TiB or more.
    #[error(
        "{} has {len} bytes, and a file on ext4 has at most {}\nhelp: split it, or put it on another filesystem",
        show(path),
        crate::LARGEST_FILE
    )]
    LargeFile {
        /// The path.
        path: Vec<u8>,
        /// Its length in bytes.
        len: u64,
    },
    /// A folder with more names than its index can have.
    #[error(
        "the folder {} has {names} names, more than its index can hold\nhelp: divide it",
        show(path)
    )]
    LargeFolder {
        /// The path.
        path: Vec<u8>,
        /// How many names it has.
        names: usize,
    },
    /// A file with more names than can be counted.
    #[error(
        "{} has {links} names, and a file on ext4 has at most {}\nhelp: make copies of it instead of so many hard links",
        show(path),
        crate::MOST_LINKS
    )]
    Links {
        /// One of the paths.
        path: Vec<u8>,
        /// How many it has.
        links: u32,
    },
    /// An extended attribute that ext4 does not hold.
    #[error(
        "the extended attribute {} of {} cannot stand on ext4: {what}\nhelp: leave the attribute out",
        show(name),
        show(path)
    )]
    Attribute {
        /// The path.
        path: Vec<u8>,
        /// The name of the attribute.
        name: Vec<u8>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More extended attributes than fit into a block.
    #[error(
        "the extended attributes of {} need {len} bytes, and beside what fits into the inode they have a block of {}\nhelp: leave some out, or make them shorter",
        show(path),
        crate::BLOCK
    )]
    Attributes {
        /// The path.
        path: Vec<u8>,
        /// The bytes that they need.
        len: usize,
    },
    /// `lost+found`, which is a folder on every ext4, is something else.
    #[error("lost+found is not a folder, and on ext4 it has to be one\nhelp: give it another name")]
    LostFound,
    /// A label that ext4 does not have.
    #[error("{label:?} cannot be the label of an ext4 volume: {what}\nhelp: take one of at most 16 bytes")]
    Label {
        /// The label.
        label: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A journal that is too small or too large.
    #[error(
        "a journal cannot have {size} bytes: it has {} to {}\nhelp: take another size, or leave it open",
        crate::SMALLEST_JOURNAL,
        crate::LARGEST_JOURNAL
    )]
    Journal {
        /// The length in bytes.
        size: u64,
    },
    /// A path that is to be immutable and cannot.
    #[error(
        "{} is to be immutable, and it is {what}\nhelp: name files and folders of the tree",
        show(path)
    )]
    Immutable {
        /// The path.
        path: Vec<u8>,
        /// What it is.
        what: &'static str,
    },
    /// The content needs more room than there is.
    #[error("the files need an ext4 filesystem of {needed} bytes, and it is to have {size}: {} bytes are missing\nhelp: make it larger, or put less on it", needed.saturating_sub(*size))]
    TooSmall {
        /// The least length in bytes.
        needed: u64,
        /// The length given, in bytes.
        size: u64,
    },
    /// More than is numbered here.
    #[error("the filesystem would have {size} bytes or more, and the most is {} (16 TiB)\nhelp: make it smaller, or put less on it", crate::MOST_BLOCKS * crate::BLOCK)]
    TooLarge {
        /// The length in bytes.
        size: u64,
    },
    /// More files than can be numbered.
    #[error(
        "the filesystem would have {count} inodes, and the most is {}\nhelp: put less on it",
        crate::MOST_INODES
    )]
    Inodes {
        /// How many there would be.
        count: u64,
    },
}
