//! ext4 filesystems.
//!
//! Followed is "ext4 Data Structures and Algorithms" of the Linux kernel's documentation
//! (Documentation/filesystems/ext4; its chapters are cited by name as "ext4, Inodes"). Blocks
//! have 4096 bytes, groups 32,768 blocks, inodes 256 bytes.
//!
//! ```text
//! block 0    1024 bytes for a boot loader, the superblock
//!       1    group descriptors, blocks reserved for more of them
//!            block bitmaps of 16 groups, inode bitmaps of 16 groups, inode tables of 16 groups
//!            folders, long links and attributes; the journal; files, one after the other
//! group 1    copies of the superblock and of the descriptors; files
//! group 2    files
//! group 3    copies; files                           and in 5, 7, 9, 25, 27, 49 ...
//! group 16   bitmaps and inode tables of the next 16 groups; files
//! ```
//!
//! Everything is given away from the front to the back, so that what is free is in one piece at
//! the end. A file is in one piece but where it meets the bitmaps, tables and copies of a group,
//! and where it has holes: blocks of zeros of its [`extents::Extents`] take no room.
//!
//! The filesystem can be grown, mounted or not (`resize2fs`): room for more group descriptors is
//! kept, as mke2fs does.

mod acl;
mod allocator;
mod bytes;
mod checksum;
mod directory;
mod error;
mod extent_tree;
mod geometry;
mod group;
mod htree;
mod identity;
mod inode;
mod inventory;
mod journal;
mod layout;
mod options;
mod plan;
mod resize_inode;
mod superblock;
mod xattr;

pub use allocator::Run;
pub use error::Error;
pub use options::{Journal, Options};
pub use plan::{Image, plan};

/// The length of a block in bytes.
pub const BLOCK: u64 = 4096;
/// The length of a sector in bytes, in which [`Image::extent_of`] counts.
pub const SECTOR: u64 = 512;
/// The most blocks of a filesystem: their numbers have 32 bits here, and 16 TiB are enough.
pub const MOST_BLOCKS: u64 = u32::MAX as u64;
/// The largest file in bytes: the numbers of its blocks have 32 bits (ext4, Extent Tree).
pub const LARGEST_FILE: u64 = MOST_BLOCKS * BLOCK;
/// The longest name of an extended attribute without its prefix, in bytes (ext4, Extended
/// Attributes: `e_name_len`).
pub const LONGEST_XATTR_NAME: usize = 255;
/// The most names of a file (ext4, Inodes: `i_links_count`).
pub const MOST_LINKS: u32 = 65_000;
/// The most inodes of a filesystem: half of what their numbers could say.
pub const MOST_INODES: u64 = 1 << 31;
/// The smallest journal in bytes: 1024 blocks, as the kernel demands.
pub const SMALLEST_JOURNAL: u64 = 1024 * BLOCK;
/// The largest journal in bytes, as mke2fs allows: 10,240,000 blocks.
pub const LARGEST_JOURNAL: u64 = 10_240_000 * BLOCK;
