//! Squashfs 4.0, a compressed read-only filesystem, planned from a tree.
//!
//! Specification: Linux, `Documentation/filesystems/squashfs.rst` ("rst", its sections), and
//! `fs/squashfs/squashfs_fs.h` for the names of fields; where they leave a choice, the checks of
//! the Linux driver decide. All numbers are in little endian.
//!
//! ```text
//! 0        superblock, 96 bytes
//!          options of the compressor, if it needs some
//!          data blocks of the files, and fragment blocks with their tails
//!          inode table             metadata blocks of at most 8 KiB, each with its length
//!          directory table         metadata blocks
//!          fragment table          metadata blocks, then the position of each of them
//!          export table            metadata blocks and positions: from inode numbers to inodes
//!          id table                metadata blocks and positions: users and groups
//!          xattr table             names with values, then sets of them, then their positions
//!          zeros up to a multiple of 4096
//! ```
//!
//! The content of a file is cut into blocks. A block is compressed on its own, and stored as it
//! is if that does not shorten it; a block of zeros is not stored. The tail of a file shares a
//! fragment block with the tails of others. Files with equal contents are stored once.
//!
//! Blocks are compressed by several threads and written, in order, to an unnamed temporary file,
//! since they need not fit the memory: the image is a slice of that file between tables in
//! memory. It does not depend on the number of threads.
//!
#![doc = include_str!("../README.md")]

mod compressor;
mod content;
mod data;
mod directory;
mod duplicates;
mod encoder;
mod error;
mod id_table;
mod inode;
mod metadata;
mod nodes;
mod options;
mod plan;
mod superblock;
mod survey;
mod table;
mod xattr;

pub use compressor::Compressor;
pub use error::Error;
pub use extents::Extents;
pub use options::Options;
pub use plan::{plan, plan_with_progress};
pub use tree::{Device, Image, Kind, Meta, Time, Tree};

/// Minimum size of a data block in bytes.
pub const MIN_BLOCK_SIZE: u32 = 4 << 10;
/// Maximum size of a data block in bytes (`SQUASHFS_FILE_MAX_SIZE`).
pub const MAX_BLOCK_SIZE: u32 = 1 << 20;
/// Maximum length of a file in bytes (rst, the table of features).
pub const MAX_FILE_LEN: u64 = 2 << 40;
/// Maximum number of different users and groups: their number has 16 bits.
pub const MAX_IDS: usize = 0xffff;
/// Maximum length of the name of an extended attribute with its prefix, in bytes (`XATTR_NAME_MAX`).
pub const MAX_XATTR_NAME_LEN: usize = 255;
/// Maximum length of the value of an extended attribute in bytes (`XATTR_SIZE_MAX`).
pub const MAX_XATTR_VALUE_LEN: usize = 65_536;
/// Alignment of the length of an image in bytes, so that a loop device can hold it.
pub const PADDING: u64 = 4096;
/// Length of a metadata block, decompressed, in bytes (`SQUASHFS_METADATA_SIZE`).
const METADATA_BLOCK: usize = 8192;
