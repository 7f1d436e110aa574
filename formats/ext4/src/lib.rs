//! ext4 filesystems, planned from a tree.
//!
//! Specification: "ext4 Data Structures and Algorithms" of the Linux kernel
//! (Documentation/filesystems/ext4; chapters are cited by name, as "ext4, Inodes"). Blocks have
//! 4096 bytes, groups 32,768 blocks, inodes 256 bytes.
//!
//! ```text
//! block 0    1024 bytes for a boot loader, the superblock
//!       1    group descriptors, blocks reserved for more of them
//!            block bitmaps of 16 groups, inode bitmaps of 16 groups, inode tables of 16 groups
//!            directories, long symlinks and attributes; the journal; files, one after the other
//! group 1    copies of the superblock and of the descriptors; files
//! group 2    files
//! group 3    copies; files                           and in 5, 7, 9, 25, 27, 49 ...
//! group 16   bitmaps and inode tables of the next 16 groups; files
//! ```
//!
//! Blocks are allocated from the front to the back, so that the free space is contiguous at the
//! end. A file is contiguous except where it meets the metadata of a group, and where it has
//! holes: blocks of zeros of its [`extents::Extents`] are not stored.
//!
//! The filesystem can be grown, mounted or not (`resize2fs`): blocks for more group descriptors
//! are reserved, as mke2fs does.
//!
#![doc = include_str!("../README.md")]

mod acl;
mod allocator;
mod bytes;
mod checksum;
mod directory;
mod entry_block;
mod error;
mod extent_tree;
mod geometry;
mod group;
mod htree;
mod identifiers;
mod inode;
mod inventory;
mod journal;
mod layout;
mod options;
mod plan;
mod resize_inode;
mod superblock;
mod writer;
mod xattr;

pub use error::Error;
pub use extents::Extents;
pub use options::{Journal, Options};
pub use plan::plan;
pub use tree::{Device, Image, Kind, Meta, Time, Tree};
pub use uuid::Uuid;

/// Length of a block in bytes.
pub const BLOCK: u64 = 4096;
/// Length of a sector in bytes.
const SECTOR: u64 = 512;
/// Maximum number of blocks of a filesystem, 16 TiB: their numbers have 32 bits here.
pub const MAX_BLOCKS: u64 = u32::MAX as u64;
/// Maximum length of a file in bytes: the numbers of its blocks have 32 bits (ext4, Extent Tree).
pub const MAX_FILE_LEN: u64 = MAX_BLOCKS * BLOCK;
/// Maximum length of the name of an extended attribute without its prefix, in bytes (ext4, Extended
/// Attributes: `e_name_len`).
pub const MAX_XATTR_NAME_LEN: usize = 255;
/// Maximum link count of a file (ext4, Inodes: `i_links_count`).
pub const MAX_LINKS: u32 = 65_000;
/// Maximum number of inodes of a filesystem, half of what their numbers allow.
pub const MAX_INODES: u64 = 1 << 31;
/// Minimum length of a journal in bytes: 1024 blocks, as the kernel demands.
pub const MIN_JOURNAL_LEN: u64 = 1024 * BLOCK;
/// Maximum length of a journal in bytes: 10,240,000 blocks, as in mke2fs.
pub const MAX_JOURNAL_LEN: u64 = 10_240_000 * BLOCK;
