//! EROFS filesystems, read-only, planned from a tree: plain files stay slices of their sources.
//!
//! Specification: Linux, `Documentation/filesystems/erofs.rst` ("rst"), and
//! `fs/erofs/erofs_fs.h` for the names of fields; where they leave a choice, the checks of the
//! Linux driver decide. All numbers are in little endian, and blocks have 4096 bytes.
//!
//! ```text
//! block 0   1024 bytes of zeros │ superblock │ configuration of the compressor
//! block 1   inodes        each  inode │ extended attributes │ tail of the content,
//!           ...                                              or index of its blocks
//!           shared extended attributes
//!           directories and long targets of symbolic links, without their tails
//!           contents      complete blocks of files, one file after another
//! ```
//!
//! The number of an inode is its offset in units of 32 bytes. An inode and its tail are in one
//! block if they fit one. Inodes are placed where they waste the least space, so they are in no
//! order.
//!
//! A plain file is a slice of its source, and so is a piece that compression does not shorten. A
//! file of which at least half are holes has a list of chunks without them, which Linux reads
//! since 5.15.
//!
//! With a compressor a file is cut into pieces of 128 KiB. Each is compressed on its own, on one
//! of several threads, and padded with zeros at the front to complete blocks. Since the
//! compressed pieces need not fit the memory, they go to an unnamed temporary file, of which the
//! image has slices. The image does not depend on the number of threads.
//!
#![doc = include_str!("../README.md")]

mod assembly;
mod bytes;
mod compressor;
mod contents;
mod directory;
mod error;
mod head;
mod identifiers;
mod index;
mod inode;
mod inventory;
mod options;
mod piece;
mod placement;
mod plan;
mod superblock;
mod xattr;

pub use compressor::Compressor;
pub use error::Error;
pub use extents::Extents;
pub use options::Options;
pub use plan::{plan, plan_with_progress};
pub use tree::{Device, Image, Kind, Meta, Time, Tree};
pub use uuid::Uuid;

/// Length of a block in bytes.
pub const BLOCK: u64 = 4096;
/// Maximum number of blocks of a filesystem: their numbers have 32 bits, and all ones is no block.
pub const MAX_BLOCKS: u64 = u32::MAX as u64;
/// Maximum length of a file in bytes: as many blocks as can be numbered.
pub const MAX_FILE_LEN: u64 = MAX_BLOCKS * BLOCK;
/// Maximum length of a label in bytes.
pub const MAX_LABEL_LEN: usize = 16;
/// Maximum length of the name of an extended attribute with its prefix, in bytes (`XATTR_NAME_MAX`).
pub const MAX_XATTR_NAME_LEN: usize = 255;
/// Maximum length of the value of an extended attribute in bytes: its length has 16 bits.
pub const MAX_XATTR_VALUE_LEN: usize = 65_535;
/// Maximum length of all extended attributes of an inode in bytes, which are counted in units of 4 bytes
/// after a header of 12 (`i_xattr_icount`).
pub const MAX_XATTRS_LEN: usize = 12 + (u16::MAX as usize - 1) * 4;
