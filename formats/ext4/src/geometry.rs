//! Block groups and the positions of their metadata (ext4, Block Groups, Flexible Block Groups).
//!
//! ```text
//! group 0, 1 and powers of 3, 5, 7      superblock │ descriptors │ reserved descriptors │ ...
//! group 0, 16, 32, ... after that       16 block bitmaps │ 16 inode bitmaps │ 16 inode tables │ ...
//! ```
//!
//! Tables that do not fit into the first group of the sixteen continue in the next; none overlaps
//! the copies there.

use std::ops::Range;

use crate::BLOCK;
use crate::inode::INODE;

/// Number of blocks in a group: as many as a block has bits (ext4, Block and Inode Bitmaps).
pub const GROUP: u64 = BLOCK * 8;
/// Logarithm of the number of groups that share the place of their metadata, 16.
pub const LOG_FLEX: u8 = 4;
const FLEX: u64 = 1 << LOG_FLEX;
/// Maximum number of inodes of a group: as many as a block has bits.
pub const MAX_INODES_PER_GROUP: u64 = BLOCK * 8;
/// Number of inodes in a block.
const PER_BLOCK: u64 = BLOCK / INODE as u64;
/// Minimum number of blocks of the last group besides its copies.
const MIN_LAST_GROUP: u64 = 64;
/// Maximum number of blocks reserved for descriptors: as many as a block has pointers.
const MAX_RESERVED: u64 = BLOCK / 4;
/// Factor by which a filesystem can be grown, as in mke2fs.
const GROWTH: u64 = 1024;
/// Minimum number of blocks up to which every filesystem can be grown: 256 GiB.
const MIN_GROWN_BLOCKS: u64 = (256 << 30) / BLOCK;

/// Block numbers of the metadata of a group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub block_bitmap: u64,
    pub inode_bitmap: u64,
    pub inode_table: u64,
}

/// Division of a filesystem into groups.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Number of blocks of the filesystem.
    pub blocks: u64,
    /// Number of inodes of each group, a multiple of 16.
    pub inodes_per_group: u64,
    /// Length of a group descriptor in bytes.
    pub descriptor: u64,
    /// Number of blocks with group descriptors.
    pub descriptor_blocks: u64,
    /// Number of blocks reserved for more group descriptors.
    pub reserved: u64,
    /// Metadata of each group.
    pub places: Vec<Place>,
    /// Blocks that hold metadata of groups, in order.
    pub taken: Vec<Range<u64>>,
}

impl Geometry {
    /// Divides a filesystem of `blocks` with at least `inodes`. Otherwise returns a lower limit of
    /// the number of missing blocks.
    pub fn new(blocks: u64, inodes: u64, wide: bool) -> Result<Geometry, u64> {
        let groups = blocks.div_ceil(GROUP).max(1);
        let groups_needed = inodes.div_ceil(MAX_INODES_PER_GROUP);
        if groups_needed > groups {
            return Err((groups_needed - 1) * GROUP + 1 - blocks);
        }
        let inodes_per_group = inodes.div_ceil(groups).next_multiple_of(PER_BLOCK);
        // ext4, Block Group Descriptors: 32 bytes, and 64 with 64-bit block numbers.
        let descriptor = if wide { 64 } else { 32 };
        let descriptor_blocks = (groups * descriptor).div_ceil(BLOCK);
        let grown = (blocks * GROWTH).clamp(MIN_GROWN_BLOCKS, crate::MAX_BLOCKS);
        let reserved = (grown.div_ceil(GROUP) * descriptor)
            .div_ceil(BLOCK)
            .saturating_sub(descriptor_blocks)
            .min(MAX_RESERVED);
        let mut geometry = Geometry {
            blocks,
            inodes_per_group,
            descriptor,
            descriptor_blocks,
            reserved,
            places: Vec::new(),
            taken: Vec::new(),
        };
        let last = groups - 1;
        let min = last * GROUP + geometry.copies(last).end.saturating_sub(last * GROUP) + MIN_LAST_GROUP;
        if blocks < min {
            return Err(min - blocks);
        }
        geometry.place(groups)?;
        Ok(geometry)
    }

    /// Returns the number of groups.
    pub fn groups(&self) -> u64 {
        self.places.len() as u64
    }

    /// Returns the number of inodes.
    pub fn inodes(&self) -> u64 {
        self.groups() * self.inodes_per_group
    }

    /// Returns the blocks of a group.
    pub fn group(&self, group: u64) -> Range<u64> {
        group * GROUP..((group + 1) * GROUP).min(self.blocks)
    }

    /// Returns the blocks of the superblock and descriptors in a group; none for most groups.
    pub fn copies(&self, group: u64) -> Range<u64> {
        let start = group * GROUP;
        let len = if has_copies(group) {
            1 + self.descriptor_blocks + self.reserved
        } else {
            0
        };
        start..start + len
    }

    /// Iterates over the groups that have copies of the superblock, without the first.
    pub fn backups(&self) -> impl Iterator<Item = u64> + use<> {
        let groups = self.groups();
        (1..groups).filter(|group| has_copies(*group))
    }

    /// Returns the number of blocks of an inode table.
    pub fn table_blocks(&self) -> u64 {
        self.inodes_per_group / PER_BLOCK
    }

    fn place(&mut self, groups: u64) -> Result<(), u64> {
        let mut taken: Vec<Range<u64>> = (0..groups)
            .filter(|group| has_copies(*group))
            .map(|group| self.copies(group))
            .collect();
        let mut first = 0;
        while first < groups {
            let together = FLEX.min(groups - first);
            let mut next = first * GROUP;
            let mut claim = |count: u64| {
                let at = self.free_from(next, count);
                next = at + count;
                taken.push(at..next);
                at
            };
            let block_bitmaps: Vec<u64> = (0..together).map(|_| claim(1)).collect();
            let inode_bitmaps: Vec<u64> = (0..together).map(|_| claim(1)).collect();
            let tables: Vec<u64> = (0..together).map(|_| claim(self.table_blocks())).collect();
            let end = ((first + together) * GROUP).min(self.blocks);
            if next > end {
                return Err(next - end);
            }
            for ((block_bitmap, inode_bitmap), inode_table) in block_bitmaps.into_iter().zip(inode_bitmaps).zip(tables)
            {
                self.places.push(Place {
                    block_bitmap,
                    inode_bitmap,
                    inode_table,
                });
            }
            first += together;
        }
        taken.sort_unstable_by_key(|range| range.start);
        for range in taken {
            match self.taken.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.taken.push(range),
            }
        }
        Ok(())
    }

    /// Returns the first block from `at` on where `count` blocks are clear of copies.
    fn free_from(&self, mut at: u64, count: u64) -> u64 {
        let mut group = at / GROUP;
        // A table is shorter than a group, so it meets two at most.
        while group * GROUP < at + count {
            let copies = self.copies(group);
            if copies.start < at + count && at < copies.end {
                at = copies.end;
            }
            group += 1;
        }
        at
    }
}

/// Returns true for a group that has a superblock (ext4, Sparse Super Block).
fn has_copies(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || [3, 5, 7].into_iter().any(power_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_where_mke2fs_has_them() {
        let with: Vec<u64> = (0..400).filter(|group| has_copies(*group)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
    }

    #[test]
    fn nothing_is_taken_twice() {
        for (blocks, inodes) in [
            (64 * GROUP, 64 * MAX_INODES_PER_GROUP),
            (40 * GROUP + 9000, 1000),
            (GROUP, 32768),
        ] {
            for wide in [false, true] {
                let geometry = Geometry::new(blocks, inodes, wide).unwrap();
                assert!(geometry.inodes() >= inodes);
                assert!(geometry.taken.windows(2).all(|pair| pair[0].end < pair[1].start));
                let taken: u64 = geometry.taken.iter().map(|range| range.end - range.start).sum();
                let copies: u64 = (0..geometry.groups())
                    .map(|g| geometry.copies(g).end - geometry.copies(g).start)
                    .sum();
                assert_eq!(taken, copies + geometry.groups() * (2 + geometry.table_blocks()));
                assert!(geometry.taken.last().unwrap().end <= blocks);
            }
        }
    }

    #[test]
    fn too_few_blocks() {
        assert!(Geometry::new(0, 16, true).is_err());
        assert!(Geometry::new(10, 16, true).is_err());
        assert!(Geometry::new(GROUP + 5, 16, true).is_err());
        assert!(Geometry::new(GROUP, MAX_INODES_PER_GROUP + 1, true).is_err());
    }
}
