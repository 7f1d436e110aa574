//! Giving blocks away, from the front to the back.

use crate::geometry::Geometry;

/// Blocks of a file that follow each other, in the file and in the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of the first within the file.
    pub logical: u64,
    /// The number of the first within the filesystem.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What is left.
pub struct Allocator<'a> {
    geometry: &'a Geometry,
    next: u64,
    /// How many of the taken ranges lie before `next`.
    passed: usize,
    missing: u64,
}

impl<'a> Allocator<'a> {
    /// With all that the groups do not take.
    pub fn new(geometry: &'a Geometry) -> Self {
        Allocator {
            geometry,
            next: 0,
            passed: 0,
            missing: 0,
        }
    }

    /// Gives `count` blocks away, in pieces of at most `longest`, as those from `logical` on of
    /// a file. What there is no room for is counted.
    pub fn allocate(&mut self, mut logical: u64, mut count: u64, longest: u64, runs: &mut Vec<Run>) {
        while count > 0 {
            let room = self.room();
            if room == 0 {
                self.missing = self.missing.saturating_add(count);
                return;
            }
            let take = count.min(room).min(longest);
            match runs.last_mut() {
                // Goes on where the last ended.
                Some(run)
                    if run.logical + run.count == logical
                        && run.first + run.count == self.next
                        && run.count + take <= longest =>
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

    /// Gives one block away; 0, which is the superblock's, when there is none.
    pub fn one(&mut self) -> u64 {
        let mut runs = Vec::new();
        self.allocate(0, 1, 1, &mut runs);
        runs.first().map_or(0, |run| run.first)
    }

    /// How many blocks there were not.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Everything before this block is in use.
    pub fn end(&mut self) -> u64 {
        self.room();
        self.next
    }

    /// How many blocks are left.
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

    /// How many blocks follow each other from `next` on, once that has passed what is taken.
    fn room(&mut self) -> u64 {
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
