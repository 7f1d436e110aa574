//! Tar archives in the pax interchange format of POSIX.1-2017 ("pax - portable archive
//! interchange"): read as entries whose contents are slices of the archive, and planned from a
//! tree.
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
//! reader also accepts what GNU tar writes: long names (types `L` and `K`) and base-256 numbers.
//! Headers of a planned archive are encoded when they are read, and take little memory until then.
//!
#![doc = include_str!("../README.md")]

mod encode;
mod header;
mod headers;
mod plan;
mod read;
mod read_tree;

pub use encode::xattr_record;
pub use extents::Extents;
pub use plan::{Error, plan};
pub use read::{Body, Entries, Entry, ReadError, entries};
pub use read_tree::{ReadTreeError, read_tree};
pub use tree::{Device, Kind, Meta, Time, Tree};

/// Unit of an archive in bytes: headers and contents start at multiples of it.
pub const BLOCK: u64 = 512;
