//! Group descriptors and bitmaps (ext4, Block Group Descriptors; Block and Inode Bitmaps).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::BLOCK;
use crate::bytes::{put_halves, put16};
use crate::checksum::Checksum;
use crate::geometry::{GROUP, Geometry, MAX_INODES_PER_GROUP};

/// Bit of `bg_flags`: no inode of the group is in use, so its bitmap need not be read.
const INODE_UNINIT: u16 = 1;
/// Bit of `bg_flags`: the inode table is zeros.
const INODE_ZEROED: u16 = 4;

/// Blocks and inodes in use.
#[derive(Clone, Debug)]
pub struct Usage<'a> {
    pub geometry: &'a Geometry,
    /// Block before which everything is in use; after it only metadata of groups is.
    pub end: u64,
    /// Inode up to which all are in use.
    pub last_inode: u64,
    /// Inodes of directories, in order.
    pub directories: &'a [u32],
    /// Seed of the checksums, if the filesystem has checksums.
    pub checksum: Option<Checksum>,
}

/// Descriptors and bitmaps of all groups.
#[derive(Debug)]
pub struct Groups {
    pub descriptors: Vec<u8>,
    /// Bitmaps by block; a bitmap of zeros is left out.
    pub bitmaps: Vec<(u64, Arc<[u8]>)>,
    pub free_blocks: u64,
    pub free_inodes: u64,
}

/// Bitmap and the checksum of its first bytes.
type Bitmap = (Arc<[u8]>, u32);

/// Bitmaps by the ranges of bits that are set, since those of most groups are alike.
struct Bitmaps {
    checksum: Option<Checksum>,
    /// Number of bytes that the checksum covers.
    covered: usize,
    known: BTreeMap<Vec<(u64, u64)>, Bitmap>,
}

impl Bitmaps {
    fn new(checksum: Option<Checksum>, bits: u64) -> Self {
        Bitmaps {
            checksum,
            covered: (bits / 8) as usize,
            known: BTreeMap::new(),
        }
    }

    fn with(&mut self, set: Vec<(u64, u64)>) -> Bitmap {
        let (checksum, covered) = (self.checksum, self.covered);
        let encode = |set: &[(u64, u64)]| {
            let mut bits = vec![0u8; BLOCK as usize];
            set.iter().for_each(|(start, end)| set_bits(&mut bits, *start..*end));
            let sum = checksum.map_or(0, |sum| sum.then(bits.get(..covered).unwrap_or_default()).value());
            (bits.into(), sum)
        };
        if let Some(known) = self.known.get(&set) {
            return known.clone();
        }
        let bitmap: Bitmap = encode(&set);
        self.known.insert(set, bitmap.clone());
        bitmap
    }
}

fn set_bits(bits: &mut [u8], range: Range<u64>) {
    let (first, last) = ((range.start / 8) as usize, (range.end / 8) as usize);
    let (from, to) = (0xffu8 << (range.start % 8), !(0xffu8 << (range.end % 8)));
    if first == last {
        if let Some(byte) = bits.get_mut(first) {
            *byte |= from & to;
        }
        return;
    }
    for (at, byte) in bits.iter_mut().enumerate().take(last + 1).skip(first) {
        *byte |= match at {
            at if at == first => from,
            at if at == last => to,
            _ => 0xff,
        };
    }
}

impl Usage<'_> {
    /// Encodes the descriptors and bitmaps of all groups.
    pub fn encode(&self) -> Groups {
        let geometry = self.geometry;
        let mut groups = Groups {
            descriptors: Vec::with_capacity((geometry.descriptor_blocks * BLOCK) as usize),
            bitmaps: Vec::new(),
            free_blocks: 0,
            free_inodes: 0,
        };
        let mut of_blocks = Bitmaps::new(self.checksum, GROUP);
        let mut of_inodes = Bitmaps::new(self.checksum, geometry.inodes_per_group);
        for (number, place) in (0..).zip(&geometry.places) {
            let blocks = self.used_blocks(number);
            let used: u64 = blocks.iter().map(|(start, end)| end - start).sum();
            let (block_bitmap, block_sum) = of_blocks.with(blocks);
            let inodes = self.used_inodes(number);
            let unused = self.checksum.is_some() && inodes == 0;
            let mut flags = 0;
            let mut inode_sum = 0;
            if unused {
                flags |= INODE_UNINIT;
            } else {
                let (bitmap, sum) =
                    of_inodes.with(vec![(0, inodes), (geometry.inodes_per_group, MAX_INODES_PER_GROUP)]);
                groups.bitmaps.push((place.inode_bitmap, bitmap));
                inode_sum = sum;
            }
            if self.checksum.is_some() {
                flags |= INODE_ZEROED;
            }
            if used > 0 {
                groups.bitmaps.push((place.block_bitmap, block_bitmap));
            }
            let (free_blocks, free_inodes) = (GROUP - used, geometry.inodes_per_group - inodes);
            groups.free_blocks += free_blocks;
            groups.free_inodes += free_inodes;

            // The upper halves of the counts, from 0x2c on, are always 0.
            let mut descriptor = [0; 64];
            put_halves(&mut descriptor, 0x00, 0x20, place.block_bitmap);
            put_halves(&mut descriptor, 0x04, 0x24, place.inode_bitmap);
            put_halves(&mut descriptor, 0x08, 0x28, place.inode_table);
            put16(&mut descriptor, 0x0c, free_blocks as u16);
            put16(&mut descriptor, 0x0e, free_inodes as u16);
            put16(&mut descriptor, 0x10, self.directories(number) as u16);
            put16(&mut descriptor, 0x12, flags);
            put16(&mut descriptor, 0x18, block_sum as u16);
            put16(&mut descriptor, 0x1a, inode_sum as u16);
            if let Some(checksum) = self.checksum {
                put16(&mut descriptor, 0x1c, free_inodes as u16);
                put16(&mut descriptor, 0x38, (block_sum >> 16) as u16);
                put16(&mut descriptor, 0x3a, (inode_sum >> 16) as u16);
                let stored = descriptor.get(..geometry.descriptor as usize).unwrap_or_default();
                let sum = checksum.then(&(number as u32).to_le_bytes()).then(stored);
                put16(&mut descriptor, 0x1e, sum.low());
            }
            let stored = descriptor.get(..geometry.descriptor as usize).unwrap_or_default();
            groups.descriptors.extend(stored);
        }
        groups
    }

    /// Returns the blocks of a group in use, from its first block on; those beyond the end of the
    /// filesystem count as used.
    fn used_blocks(&self, group: u64) -> Vec<(u64, u64)> {
        let blocks = self.geometry.group(group);
        let taken = &self.geometry.taken;
        let mut used: Vec<(u64, u64)> = Vec::new();
        let mut add = |range: Range<u64>| {
            let start = range.start.max(blocks.start) - group * GROUP;
            let end = range.end.min((group + 1) * GROUP).saturating_sub(group * GROUP);
            match used.last_mut() {
                _ if start >= end => {}
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => used.push((start, end)),
            }
        };
        add(blocks.start..self.end.min(blocks.end));
        let first = taken.partition_point(|range| range.end <= blocks.start);
        for range in taken.iter().skip(first).take_while(|range| range.start < blocks.end) {
            add(range.clone());
        }
        add(blocks.end..(group + 1) * GROUP);
        used
    }

    fn used_inodes(&self, group: u64) -> u64 {
        let before = group * self.geometry.inodes_per_group;
        self.last_inode
            .saturating_sub(before)
            .min(self.geometry.inodes_per_group)
    }

    fn directories(&self, group: u64) -> usize {
        let per_group = self.geometry.inodes_per_group;
        let up_to = |last: u64| self.directories.partition_point(|inode| u64::from(*inode) <= last);
        up_to((group + 1) * per_group) - up_to(group * per_group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits() {
        for (start, end) in [(0, 0), (0, 1), (3, 7), (3, 8), (5, 29), (0, 32), (8, 24), (31, 32)] {
            let mut bits = [0; 4];
            set_bits(&mut bits, start..end);
            for bit in 0..32 {
                let set = bits[bit as usize / 8] >> (bit % 8) & 1 == 1;
                assert_eq!(set, (start..end).contains(&bit), "{start}..{end}: {bit}");
            }
        }
    }
}
