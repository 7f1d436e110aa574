//! Allocation of blocks, from the front to the back.

use crate::geometry::Geometry;

/// Blocks that are contiguous in a file and in the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First block within the file.
    pub logical: u64,
    /// First block within the filesystem.
    pub first: u64,
    /// Number of blocks.
    pub count: u64,
}

/// Allocator of the blocks that no group metadata takes.
pub struct Allocator<'a> {
    geometry: &'a Geometry,
    next: u64,
    /// Number of ranges of metadata before `next`.
    passed: usize,
    missing: u64,
}

impl<'a> Allocator<'a> {
    /// Creates an allocator of all blocks but the metadata of groups.
    pub fn new(geometry: &'a Geometry) -> Self {
        Allocator {
            geometry,
            next: 0,
            passed: 0,
            missing: 0,
        }
    }

    /// Allocates `count` blocks of a file from block `logical` on, in runs of at most `max_run`.
    /// Blocks beyond the end of the filesystem are counted as missing.
    pub fn allocate(&mut self, mut logical: u64, mut count: u64, max_run: u64, runs: &mut Vec<Run>) {
        while count > 0 {
            let free = self.skip_taken();
            if free == 0 {
                self.missing = self.missing.saturating_add(count);
                return;
            }
            let take = count.min(free).min(max_run);
            match runs.last_mut() {
                // The blocks continue the last run.
                Some(run)
                    if run.logical + run.count == logical
                        && run.first + run.count == self.next
                        && run.count + take <= max_run =>
                {
                    run.count += take
                }
                _ => runs.push(Run {
                    logical,
                    first: self.next,
                    count: take,
                }),
            }
            self.next += take;
            logical += take;
            count -= take;
        }
    }

    /// Allocates one block; returns 0, the block of the superblock, if none is left.
    pub fn block(&mut self) -> u64 {
        let mut runs = Vec::new();
        self.allocate(0, 1, 1, &mut runs);
        runs.first().map_or(0, |run| run.first)
    }

    /// Returns the number of blocks that could not be allocated.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Returns the block before which everything is in use.
    pub fn end(&mut self) -> u64 {
        self.skip_taken();
        self.next
    }

    /// Returns the number of blocks that are left.
    pub fn left(&mut self) -> u64 {
        let (end, blocks) = (self.end(), self.geometry.blocks);
        let taken: u64 = self
            .geometry
            .taken
            .iter()
            .skip(self.passed)
            .map(|range| range.end - range.start)
            .sum();
        blocks.saturating_sub(end).saturating_sub(taken)
    }

    /// Moves `next` past metadata, and returns the number of contiguous free blocks there.
    fn skip_taken(&mut self) -> u64 {
        while let Some(range) = self.geometry.taken.get(self.passed) {
            if self.next < range.start {
                return range.start - self.next;
            }
            self.next = range.end;
            self.passed += 1;
        }
        self.geometry.blocks.saturating_sub(self.next)
    }
}
