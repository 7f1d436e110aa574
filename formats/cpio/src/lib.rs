//! cpio archives in the "newc" format, as the Linux kernel unpacks them into its initial
//! root filesystem (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! ```text
//! | header 110 B | name NUL | pad to 4 | content | pad to 4 | header ... | TRAILER!!! | pad to 512 |
//! ```
//!
//! A header is the magic `070701` and thirteen numbers of eight hexadecimal digits. Names of
//! one inode follow each other with the same inode number, and only the last of them has the
//! content. Extended attributes have no place in the format.

mod plan;
mod read;

pub use plan::{Error, plan};
pub use read::{Damaged, Member, members};

/// The magic of a header without checksums.
pub const MAGIC: &[u8; 6] = b"070701";
/// The name of the last entry.
pub const TRAILER: &[u8] = b"TRAILER!!!";
/// The length of a header in bytes.
pub const HEADER: u64 = 110;
/// The largest content in bytes: the size has eight hexadecimal digits.
pub const LARGEST: u64 = 0xffff_ffff;
/// The longest name in bytes that the kernel accepts, with its NUL (PATH_MAX).
pub const LONGEST_NAME: u64 = 4096;
