//! Reasons for which a hash area is not planned, not read, or does not match its data.

use std::fmt;
use std::io;

/// Reason for which a hash area is not planned, not read, or does not match its data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Data without a block.
    #[error("the data is empty, but dm-verity needs at least one block")]
    Empty,
    /// Data that does not end with a whole block.
    #[error("the data has {len} bytes, which is not a multiple of the block size of {block_size} bytes")]
    PartialBlock {
        /// Length of the data in bytes.
        len: u64,
        /// Size of a data block in bytes.
        block_size: u32,
    },
    /// A block size out of range.
    #[error("a block of dm-verity cannot have {size} bytes, only a power of two from 512 to 4096")]
    BlockSize {
        /// Size in the options or the superblock, in bytes.
        size: u32,
    },
    /// A salt that is too long.
    #[error("the salt has {len} bytes, but a superblock holds at most {}", crate::MAX_SALT_LEN)]
    SaltLength {
        /// Length in the options or the superblock, in bytes.
        len: usize,
    },
    /// Bytes that are no superblock of dm-verity.
    #[error("there is no superblock of dm-verity")]
    NoSuperblock,
    /// A superblock of a version that does not exist.
    #[error("the superblock has version {version}, not 1")]
    Version {
        /// Version in the superblock.
        version: u32,
    },
    /// A tree of a type other than 1, such as that of early Chromium OS.
    #[error("the tree has hash type {hash_type}, not 1")]
    HashType {
        /// Type in the superblock.
        hash_type: u32,
    },
    /// A hash function that is not supported.
    #[error("the hash algorithm {name:?} is not supported, only sha256 and sha512")]
    Algorithm {
        /// Name in the superblock.
        name: String,
    },
    /// More data blocks than offsets of 64 bits can address.
    #[error("{blocks} data blocks are too many")]
    TooLarge {
        /// Number of data blocks.
        blocks: u64,
    },
    /// Data that ends before the last block.
    #[error("the data has {len} bytes, but the tree covers {expected}")]
    ShortData {
        /// Length of the data in bytes.
        len: u64,
        /// Length that the superblock states, in bytes.
        expected: u64,
    },
    /// A hash area that ends before the last hash block.
    #[error("the hash area has {len} bytes, but the tree ends at {expected}")]
    ShortTree {
        /// Length of the hash area in bytes.
        len: u64,
        /// End of the tree in bytes.
        expected: u64,
    },
    /// A block whose digest differs from that in the tree.
    #[error("{0} does not match its digest")]
    Mismatch(Mismatch),
    /// A tree with another root hash.
    #[error("the root hash differs")]
    RootHash {
        /// Root hash of the tree.
        found: Vec<u8>,
    },
    /// Data or hash blocks that cannot be read.
    #[error("cannot read the blocks: {0}")]
    Read(#[source] io::Error),
    /// Digests that cannot be written to the temporary file.
    #[error("cannot write the hash tree to a temporary file: {0}")]
    Write(#[source] io::Error),
}

/// First block found whose digest differs from that in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// A data block.
    Data {
        /// Number of the block.
        block: u64,
    },
    /// A hash block.
    Hash {
        /// Level of the tree; level 0 has the digests of the data blocks.
        level: usize,
        /// Number of the block in its level.
        block: u64,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Data { block } => write!(f, "data block {block}"),
            Mismatch::Hash { level, block } => write!(f, "hash block {block} of level {level}"),
        }
    }
}
