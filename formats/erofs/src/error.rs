//! What a filesystem cannot hold, and what can go wrong on the way.

use std::io;
use std::path::PathBuf;

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
        /// Which of the driver's devices.
        minor: u32,
    },
    /// An extended attribute that EROFS has no place for.
    #[error(
        "the extended attribute {} of {} cannot stand on EROFS: {what}\nhelp: leave the attribute out",
        show(name),
        show(path)
    )]
    Attribute {
        /// The path.
        path: Vec<u8>,
        /// The attribute's full name.
        name: Vec<u8>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More extended attributes than can stand behind an inode.
    #[error(
        "the extended attributes of {} need {len} bytes, and an inode of EROFS can have {}\nhelp: leave some out, or make them shorter",
        show(path),
        crate::xattr::MOST
    )]
    Attributes {
        /// The path.
        path: Vec<u8>,
        /// The bytes that they need.
        len: usize,
    },
    /// A file that is too long.
    #[error(
        "{} has {len} bytes, and a file on EROFS has at most {}\nhelp: split it, or put it on another filesystem",
        show(path),
        crate::LARGEST_FILE
    )]
    LargeFile {
        /// The path.
        path: Vec<u8>,
        /// Its length in bytes.
        len: u64,
    },
    /// A label that there cannot be.
    #[error("{label:?} cannot be the label of an EROFS volume: {what}\nhelp: take one of at most 16 bytes")]
    Label {
        /// The label.
        label: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More blocks than can be numbered.
    #[error(
        "the filesystem would have {blocks} blocks of 4096 bytes, and the most is {}\nhelp: put less on it",
        crate::MOST_BLOCKS
    )]
    TooLarge {
        /// How many there would be.
        blocks: u64,
    },
    /// A content that could not be read.
    #[error("cannot read the content of {}: {source}", show(path))]
    Read {
        /// The path.
        path: Vec<u8>,
        /// What reading failed with.
        source: io::Error,
    },
    /// The file of compressed blocks could not be made or written.
    #[error("cannot keep compressed blocks in {}: {source}", folder.display())]
    Spill {
        /// The folder that it is in.
        folder: PathBuf,
        /// What writing failed with.
        source: io::Error,
    },
}
