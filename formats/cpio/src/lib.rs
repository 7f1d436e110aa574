//! cpio archives in the "newc" format, as the Linux kernel unpacks them into its initial root
//! filesystem (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! ```text
//! | header 110 B | name NUL | pad to 4 | content | pad to 4 | header ... | TRAILER!!! | pad to 512 |
//! ```
//!
//! A header is the magic `070701` and thirteen numbers of eight hexadecimal digits. The names of
//! one inode follow each other with one inode number, and only the last of them has the content. All other
//! entries have the inode number 0 and a link count of 1: the kernel looks at the number only where the count is
//! larger (init/initramfs.c, `maybe_link`).
//! The format has no extended attributes.
//!
#![doc = include_str!("../README.md")]

mod plan;
mod read;

pub use extents::Extents;
pub use plan::{Archive, Error, plan, plan_pieces};
pub use read::{Member, ReadError, members};
pub use tree::{Device, Kind, Meta, Time, Tree};

/// Magic of a header without checksum.
pub const MAGIC: &[u8; 6] = b"070701";
/// Name of the last entry.
pub const TRAILER: &[u8] = b"TRAILER!!!";
/// Length of a header in bytes.
pub const HEADER_LEN: u64 = 110;
/// Maximum length of a content in bytes: its length has eight hexadecimal digits.
pub const MAX_FILE_LEN: u64 = 0xffff_ffff;
/// Maximum length of a name in bytes, including its NUL: the kernel skips longer ones (`PATH_MAX`).
pub const MAX_NAME_LEN: u64 = 4096;
