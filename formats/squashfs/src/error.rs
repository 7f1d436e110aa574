//! What a filesystem cannot hold, and what can go wrong on the way.

use std::io;
use std::path::PathBuf;

use tree::show;

use crate::Compressor;

/// Why there is no filesystem.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A size of blocks that squashfs does not have.
    #[error(
        "{size} bytes cannot be the size of a squashfs block\nhelp: take a power of two from {} to {}, such as 131072",
        crate::SMALLEST_BLOCK,
        crate::LARGEST_BLOCK
    )]
    BlockSize {
        /// The size asked for, in bytes.
        size: u32,
    },
    /// A level that the compressor does not have.
    #[error("{} has levels from {} to {}, not {level}", compressor.name(), compressor.levels().start(), compressor.levels().end())]
    Level {
        /// The compressor.
        compressor: Compressor,
        /// The level asked for.
        level: u32,
    },
    /// A device number of more bits than there are.
    #[error(
        "{} is the device {major}:{minor}, and squashfs has numbers up to 4095:1048575",
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
    /// An extended attribute that squashfs has no place for.
    #[error(
        "the extended attribute {} of {} cannot stand on squashfs: {what}\nhelp: remove it from the image that the file comes from",
        show(name),
        show(path)
    )]
    Xattr {
        /// The path.
        path: Vec<u8>,
        /// The attribute's full name.
        name: Vec<u8>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file that is too long.
    #[error(
        "{} has {len} bytes, and a file on squashfs has at most {}\nhelp: put it on another filesystem, or split it",
        show(path),
        crate::LARGEST_FILE
    )]
    LargeFile {
        /// The path.
        path: Vec<u8>,
        /// Its length in bytes.
        len: u64,
    },
    /// A folder whose names together are too long.
    #[error(
        "the names in {} need more than 4 GiB, and squashfs has no such folders\nhelp: divide it",
        show(path)
    )]
    LargeFolder {
        /// The path.
        path: Vec<u8>,
    },
    /// More users and groups than the table can have.
    #[error(
        "{} belongs to user {uid} and group {gid}, and squashfs has room for {} different ones, all of which are taken",
        show(path),
        crate::MOST_IDS
    )]
    Ids {
        /// The first path that has no room.
        path: Vec<u8>,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A table that cannot be numbered.
    #[error("the {table} table needs more than 4 GiB, which squashfs cannot number\nhelp: put fewer files on it")]
    LargeTable {
        /// Which table.
        table: &'static str,
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
    /// A compressor gave up.
    #[error("{} failed: {source}", compressor.name())]
    Compress {
        /// The compressor.
        compressor: Compressor,
        /// What it said.
        source: io::Error,
    },
}
