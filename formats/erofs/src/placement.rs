//! Where inodes stand.

use std::collections::BTreeSet;

use crate::BLOCK;

/// The unit of their places in bytes (`EROFS_ISLOTBITS`).
pub(crate) const SLOT: u64 = 32;

/// Gives out places in blocks from 1 on.
///
/// An inode that fits a block goes into the block with the least room in which it does, so that it
/// never lies across two: Linux wants that of what stands in the tail.
pub(crate) struct Placement {
    /// Room in bytes and number of the blocks that have some.
    open: BTreeSet<(u64, u64)>,
    /// The first block that is not given out.
    next: u64,
}

impl Placement {
    pub(crate) fn new() -> Self {
        Placement {
            open: BTreeSet::new(),
            next: 1,
        }
    }

    /// A place for so many bytes, in bytes from the start of the filesystem.
    pub(crate) fn place(&mut self, len: u64) -> u64 {
        let len = len.next_multiple_of(SLOT);
        if let Some((room, block)) = self.open.range((len, 0)..).next().copied() {
            self.open.remove(&(room, block));
            self.keep(room - len, block);
            return (block + 1) * BLOCK - room;
        }
        let start = self.next * BLOCK;
        self.next += len.div_ceil(BLOCK);
        self.keep(self.next * BLOCK - start - len, self.next - 1);
        start
    }

    fn keep(&mut self, room: u64, block: u64) {
        if room > 0 {
            self.open.insert((room, block));
        }
    }

    /// Whether no room is left in the last block.
    pub(crate) fn is_full(&self) -> bool {
        self.open.iter().all(|(_, block)| block + 1 != self.next)
    }

    /// The first block behind all inodes.
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
