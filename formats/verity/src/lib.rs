//! Hash area of dm-verity: superblock, version 1, and hash tree, hash type 1.
//!
//! Specification: Linux, `Documentation/admin-guide/device-mapper/verity.rst` ("verity.rst"), for the
//! tree; cryptsetup, wiki page DMVerity, for the superblock. Numbers are little-endian.
//!
//! ```text
//! 0              superblock, 512 bytes, then zeros up to a multiple of the hash block size
//!                top level      one hash block, of which the root hash is the digest
//!                ...
//!                level 1        digests of the hash blocks of level 0
//!                level 0        digests of the data blocks
//! ```
//!
//! A digest is that of the salt followed by a block. Digests have a power of two of bytes, so they fill
//! a hash block; zeros follow the last digest of a level. A single data block needs no level: the
//! root hash is its digest.
//!
//! Blocks are read once, in pieces that several threads hash. Runs of zeros in the data are hashed
//! once. Large levels are kept in an unnamed temporary file. Nothing depends on the number of threads.
//!
#![doc = include_str!("../README.md")]

mod digest;
mod error;
mod geometry;
mod options;
mod plan;
mod superblock;
mod verify;

pub use digest::Algorithm;
pub use error::{Error, Mismatch};
pub use extents::Extents;
pub use options::Options;
pub use plan::{HashArea, plan, plan_with_progress};
pub use superblock::Superblock;
pub use uuid::Uuid;
pub use verify::{root_hash, verify};

/// Minimum size of a block in bytes.
pub const MIN_BLOCK_SIZE: u32 = 512;
/// Maximum size of a block in bytes: that of a page, beyond which Linux on amd64 opens no device.
pub const MAX_BLOCK_SIZE: u32 = 4096;
/// Maximum length of a salt in bytes.
pub const MAX_SALT_LEN: usize = 256;
/// Length of the superblock in bytes.
pub const SUPERBLOCK_LEN: u64 = 512;
