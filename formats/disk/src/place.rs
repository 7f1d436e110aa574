//! Byte ranges of partitions.

use std::ops::Range;

use crate::gpt::TAIL_SECTORS;
use crate::layout::{DiskLayout, Partition};
use crate::{ALIGNMENT, Error, SECTOR};

/// Granularity of a partition that grows to the end of the disk, in bytes.
const GROW_UNIT: u64 = 4096;

/// Length of a disk, and the byte ranges of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Length of the disk in bytes.
    pub len: u64,
    /// Partitions in the order of the layout, in bytes from the start of the disk.
    pub partitions: Vec<Range<u64>>,
}

fn round_up(value: u64, unit: u64) -> Result<u64, Error> {
    value.checked_next_multiple_of(unit).ok_or(Error::Overflow)
}

impl Partition {
    /// Returns the length without growth, in bytes, rounded up to whole sectors.
    fn min_len(&self) -> Result<u64, Error> {
        round_up(self.content.len().max(self.min_size), SECTOR)
    }
}

impl DiskLayout {
    /// Computes the length of the disk and the place of each partition. `size` is the length of
    /// the disk in bytes; without it the disk is as long as needed, in whole MiB. The result is
    /// rounded up to a multiple of `unit` bytes, and that to whole sectors.
    ///
    /// # Errors
    /// Partitions that overlap, are empty, do not fit `size`, or cannot grow.
    pub fn place(&self, size: Option<u64>, unit: u64) -> Result<Placement, Error> {
        let mut partitions = self.without_growth()?;
        let end = partitions.last().map_or(0, |range| range.end);
        let tail = if self.table.has_gpt() { TAIL_SECTORS * SECTOR } else { 0 };
        let min_len = end.saturating_add(tail).max(self.base.len());
        let needed = round_up(min_len.max(ALIGNMENT), ALIGNMENT)?;
        let len = match size {
            Some(size) if size < min_len => return Err(Error::TooSmall { needed, len: size }),
            Some(size) => size / SECTOR * SECTOR,
            None => needed,
        };
        let len = round_up(len, round_up(unit.max(1), SECTOR)?)?;
        self.grow(&mut partitions, len.saturating_sub(tail))?;
        Ok(Placement { len, partitions })
    }

    /// Places the partitions one after another, each with its minimum length.
    fn without_growth(&self) -> Result<Vec<Range<u64>>, Error> {
        let table_end = if self.table.has_gpt() {
            self.reserved.max(SECTOR * (1 + TAIL_SECTORS))
        } else {
            0
        };
        let mut end = table_end;
        let mut ranges = Vec::new();
        for (number, partition) in (1..).zip(&self.partitions) {
            let start = match partition.start {
                Some(start) => {
                    let refused = |reason| Error::Start {
                        partition: number,
                        start,
                        reason,
                    };
                    if !start.is_multiple_of(SECTOR) {
                        return Err(refused("it is not a multiple of 512"));
                    }
                    if start < table_end {
                        return Err(refused("it lies in the partition table or the reserved space"));
                    }
                    if start < end {
                        return Err(refused("the partition before reaches beyond it"));
                    }
                    start
                }
                None => round_up(end.max(1), ALIGNMENT)?,
            };
            let len = partition.min_len()?;
            if len == 0 {
                return Err(Error::EmptyPartition { partition: number });
            }
            end = start.checked_add(len).ok_or(Error::Overflow)?;
            ranges.push(start..end);
        }
        Ok(ranges)
    }

    /// Gives one partition the space up to `limit`, and moves those behind it.
    fn grow(&self, partitions: &mut [Range<u64>], limit: u64) -> Result<(), Error> {
        let mut growing = self
            .partitions
            .iter()
            .enumerate()
            .filter(|(_, partition)| partition.grow);
        let Some((index, _)) = growing.next() else {
            return Ok(());
        };
        let refused = |index: usize, reason| Error::Grow {
            partition: index + 1,
            reason,
        };
        if let Some((second, _)) = growing.next() {
            return Err(refused(second, "another partition takes the rest of the disk"));
        }
        if self
            .partitions
            .iter()
            .skip(index + 1)
            .any(|later| later.start.is_some())
        {
            return Err(refused(index, "a partition behind it has a fixed start"));
        }
        let is_last = index + 1 == partitions.len();
        let end = partitions.last().map_or(0, |range| range.end);
        let Some((grown, later)) = partitions.get_mut(index..).and_then(<[_]>::split_first_mut) else {
            return Ok(());
        };
        if is_last {
            grown.end = grown.end.max(limit / GROW_UNIT * GROW_UNIT);
        } else {
            // Whole units, so that those behind stay aligned.
            let spare = limit.saturating_sub(end) / ALIGNMENT * ALIGNMENT;
            grown.end += spare;
            for range in later {
                *range = range.start + spare..range.end + spare;
            }
        }
        Ok(())
    }
}
