//! Block map: a number of 32 bits for each block of the disk.

use std::io;
use std::ops::Range;

use extents::Blob;

/// Byte of which the entry of a block consists that is not in the image (`VDI_IMAGE_BLOCK_FREE`).
const FREE: u8 = 0xff;
/// Length of an entry in bytes.
const ENTRY: u64 = 4;

/// Map that is encoded when it is read: that of a large empty disk has hundreds of megabytes.
#[derive(Debug)]
pub(crate) struct Map {
    /// Number of blocks of the disk.
    blocks: u64,
    /// Blocks that the image has, in order, each range with the number of its first block in the image.
    allocated: Vec<(Range<u64>, u32)>,
    next: u32,
}

impl Map {
    /// Creates the map of a disk of which the image has no block.
    pub(crate) fn new(blocks: u64) -> Self {
        Map {
            blocks,
            allocated: Vec::new(),
            next: 0,
        }
    }

    /// Adds blocks behind those that were added before, on the disk and in the image.
    pub(crate) fn allocate(&mut self, blocks: Range<u64>) {
        let len = (blocks.end - blocks.start) as u32;
        self.allocated.push((blocks, self.next));
        self.next += len;
    }

    /// Returns the number of blocks that the image has.
    pub(crate) fn allocated(&self) -> u32 {
        self.next
    }
}

impl Blob for Map {
    fn len(&self) -> u64 {
        self.blocks * ENTRY
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(FREE);
        let end = offset + buf.len() as u64;
        let first = self.allocated.partition_point(|(range, _)| range.end * ENTRY <= offset);
        for (range, number) in self.allocated.iter().skip(first) {
            // Entries of the range from the first that is read on.
            let start = range.start.max(offset / ENTRY);
            if start * ENTRY >= end {
                break;
            }
            let numbers = number + (start - range.start) as u32..number + (range.end - range.start) as u32;
            let bytes = numbers.flat_map(u32::to_le_bytes);
            let (to, skip) = match (start * ENTRY).checked_sub(offset) {
                Some(ahead) => (ahead as usize, 0),
                None => (0, (offset - start * ENTRY) as usize),
            };
            for (to, from) in buf.iter_mut().skip(to).zip(bytes.skip(skip)) {
                *to = from;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_the_map_is_read() {
        let mut map = Map::new(20);
        for range in [2..5, 7..8, 18..20] {
            map.allocate(range);
        }
        let mut numbers = vec![u32::MAX; 20];
        for (number, block) in (0..).zip([2, 3, 4, 7, 18, 19]) {
            numbers[block] = number;
        }
        let expected: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
        for start in 0..80 {
            for len in 0..=80 - start {
                let mut found = vec![0; len];
                map.read_exact_at(&mut found, start as u64).unwrap();
                assert_eq!(found, expected[start..start + len], "{start} {len}");
            }
        }
        assert!(map.read_exact_at(&mut [0; 2], 79).is_err());
    }
}
