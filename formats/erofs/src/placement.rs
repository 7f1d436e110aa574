//! Positions of inodes.

use std::collections::BTreeSet;

use crate::BLOCK;

/// Unit of the positions in bytes (`EROFS_ISLOTBITS`).
pub(crate) const SLOT: u64 = 32;

/// Allocator of positions in blocks from 1 on.
///
/// An inode that fits a block goes to the block with the least sufficient space, so that it never
/// crosses a block boundary, as Linux requires of tails.
pub(crate) struct Placement {
    /// Free space in bytes and number of the blocks that have some.
    open: BTreeSet<(u64, u64)>,
    /// First block that is not allocated.
    next: u64,
}

impl Placement {
    pub(crate) fn new() -> Self {
        Placement {
            open: BTreeSet::new(),
            next: 1,
        }
    }

    /// Allocates `len` bytes, and returns their offset in the filesystem.
    pub(crate) fn place(&mut self, len: u64) -> u64 {
        let len = len.next_multiple_of(SLOT);
        if let Some((free, block)) = self.open.range((len, 0)..).next().copied() {
            self.open.remove(&(free, block));
            self.keep(free - len, block);
            return (block + 1) * BLOCK - free;
        }
        let start = self.next * BLOCK;
        self.next += len.div_ceil(BLOCK);
        self.keep(self.next * BLOCK - start - len, self.next - 1);
        start
    }

    fn keep(&mut self, free: u64, block: u64) {
        if free > 0 {
            self.open.insert((free, block));
        }
    }

    /// Returns whether the last block has no free space.
    pub(crate) fn is_full(&self) -> bool {
        self.open.iter().all(|(_, block)| block + 1 != self.next)
    }

    /// Returns the first block after all inodes.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_fill_gaps() {
        let mut placement = Placement::new();
        let places: Vec<u64> = [100, 4000, 3969, 20_000, 64, 480, 32]
            .into_iter()
            .map(|len| placement.place(len))
            .collect();
        assert_eq!(
            places,
            [
                4096,
                8192,
                4096 + 128 - 128 + 8192,
                16_384,
                8192 + 4000,
                32_768 + 3616,
                8192 + 4064
            ]
        );
    }
}
