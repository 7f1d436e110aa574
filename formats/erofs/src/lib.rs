//! EROFS: a filesystem that is only read, whose plain files can be used where they stand.
//!
//! Followed are Linux's `Documentation/filesystems/erofs.rst` ("rst") and `fs/erofs/erofs_fs.h` for
//! the names of fields; the checks that Linux makes when it reads decide what is exact. All
//! numbers are in little endian, and blocks have 4096 bytes.
//!
//! ```text
//! block 0   1024 bytes of zeros │ superblock │ what the compressor needs
//! block 1   inodes        each  inode │ its extended attributes │ the tail of its content,
//!           ...                                                   or where its blocks are
//!           shared extended attributes
//!           folders and long targets of links, what does not stand behind their inodes
//!           contents      whole blocks of files, one file after another
//! ```
//!
//! An inode has its place in units of 32 bytes as its number, and stands with its tail in one block
//! where the two fit one. Inodes go where the least room is lost, so they are in no order.
//!
//! A plain file is a slice of what it comes from, and so is what a compressor did not make smaller.
//! A file of which half or more are holes has a list of chunks that leaves them out, which Linux reads
//! since 5.15.
//!
//! With a compressor a file is cut into pieces of 128 KiB, each compressed by itself by one of
//! several threads, with zeros in front up to whole blocks. The compressed pieces are put into a
//! file without a name, since they need not fit the memory: the image has slices of it. The
//! number of threads changes nothing in it.

mod bytes;
mod compressor;
mod contents;
mod directory;
mod error;
mod identity;
mod index;
mod inode;
mod inventory;
mod options;
mod placement;
mod plan;
mod superblock;
mod xattr;

pub use compressor::Compressor;
pub use error::Error;
pub use options::Options;
pub use plan::{Image, plan};

/// The length of a block in bytes.
pub const BLOCK: u64 = 4096;
/// The most blocks: their numbers have 32 bits, and all ones stands for none.
pub const MOST_BLOCKS: u64 = u32::MAX as u64;
/// The largest file, in bytes: as much as can be numbered.
pub const LARGEST_FILE: u64 = MOST_BLOCKS * BLOCK;
/// The longest label, in bytes.
pub const LONGEST_LABEL: usize = 16;
/// The longest name of an extended attribute, with its prefix, in bytes (`XATTR_NAME_MAX`).
pub const LONGEST_XATTR_NAME: usize = 255;
/// The longest value of an extended attribute, in bytes: its length has 16 bits.
pub const LONGEST_XATTR_VALUE: usize = 65_535;
