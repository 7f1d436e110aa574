//! Squashfs 4.0: a compressed filesystem that is only read.
//!
//! Followed are Linux's `Documentation/filesystems/squashfs.rst` ("rst", its sections) and
//! `fs/squashfs/squashfs_fs.h` for the names of fields; the checks that Linux makes when it
//! mounts decide what is exact. All numbers are in little endian.
//!
//! ```text
//! 0        superblock, 96 bytes
//!          options of the compressor, where it needs some
//!          data blocks of the files, and fragment blocks with their tails
//!          inode table             metadata blocks of at most 8 KiB, each with its length
//!          directory table         the same
//!          fragment table          metadata blocks, then where each of them begins
//!          export table            the same: from the number of an inode to its place
//!          id table                the same: users and groups
//!          xattr table             names with values, then sets of them, then where they begin
//!          zeros up to a multiple of 4096
//! ```
//!
//! A file's content is cut into blocks. A block is compressed by itself, and stored as it is when
//! that does not make it smaller; one of zeros is not stored. What is left at the end of a file
//! shares a fragment block with what is left of others. Files with the same content are stored
//! once.
//!
//! Blocks are compressed by several threads and put, in order, into a file without a name, since
//! they need not fit the memory: the image is a slice of that file between tables in memory. The
//! number of threads changes nothing in it.

mod compressor;
mod data;
mod directory;
mod error;
mod id_table;
mod inode;
mod metadata;
mod options;
mod plan;
mod same;
mod superblock;
mod table;
mod xattr;

pub use compressor::Compressor;
pub use error::Error;
pub use options::Options;
pub use plan::{Image, plan};

/// The smallest size of a data block, in bytes.
pub const SMALLEST_BLOCK: u32 = 4 << 10;
/// The largest size of a data block, in bytes (`SQUASHFS_FILE_MAX_SIZE`).
pub const LARGEST_BLOCK: u32 = 1 << 20;
/// The largest file, in bytes (rst, the table of features).
pub const LARGEST_FILE: u64 = 2 << 40;
/// How many different users and groups there can be: their number has 16 bits.
pub const MOST_IDS: usize = 0xffff;
/// The longest name of an extended attribute, with its prefix, in bytes (`XATTR_NAME_MAX`).
pub const LONGEST_XATTR_NAME: usize = 255;
/// The longest value of an extended attribute, in bytes (`XATTR_SIZE_MAX`).
pub const LONGEST_XATTR_VALUE: usize = 65_536;
/// What the length of an image is a multiple of, in bytes, so that a loop device can hold it.
pub const PADDING: u64 = 4096;
