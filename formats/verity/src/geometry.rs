//! Positions of the levels of a tree (verity.rst, "Hash Tree" and "On-disk format").

use std::ops::Range;

use crate::SUPERBLOCK_LEN;
use crate::superblock::Superblock;

/// Returns the offset of the tree from the start of the hash area, in bytes.
pub(crate) fn tree_start(hash_block_size: u32) -> u64 {
    SUPERBLOCK_LEN.next_multiple_of(u64::from(hash_block_size).max(1))
}

/// Returns the range of each level in the hash area, in bytes, from level 0 to the top. Nothing
/// saturates if the length of the data has 64 bits: digests are an eighth of their blocks at most.
pub(crate) fn levels(superblock: &Superblock) -> Vec<Range<u64>> {
    let block = u64::from(superblock.hash_block_size);
    let per_block = (block / superblock.algorithm.digest_len() as u64).max(2);
    let mut counts = Vec::new();
    let mut blocks = superblock.data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(per_block);
        counts.push(blocks);
    }
    // The top level comes first on disk.
    let mut end = tree_start(superblock.hash_block_size);
    let mut levels = Vec::new();
    for count in counts.into_iter().rev() {
        let start = end;
        end = start.saturating_add(count.saturating_mul(block));
        levels.push(start..end);
    }
    levels.reverse();
    levels
}
