//! Tar archives in the pax interchange format of POSIX.1-2017 ("pax - portable archive
//! interchange"): read as a list of entries whose contents are slices of the archive, and
//! planned from a tree.
//!
//! ```text
//! offset  0            512             1024           1536
//!         | header 'x' | pax records   | header '0'   | content ... padding to 512 | ...
//!         | DIR/PaxHeaders.0/BASE      | ustar fields |                            |
//!         |                            |              |          two zero blocks   |
//! ```
//!
//! A header is a block of 512 bytes (ustar Interchange Format). Values that do not fit its
//! fields, and extended attributes, are in the records of an extended header before it. The
//! reader also takes what GNU tar writes: long names (types `L` and `K`) and base-256
//! numbers.

mod header;
mod read;
mod write;

pub use read::{Body, Entries, Entry, Error, entries};
pub use write::{Unwritable, plan, xattr_record};

/// The unit of a tar in bytes: headers and contents start at multiples of it.
pub const BLOCK: u64 = 512;
