//! Allocation of clusters, and the file allocation table (FAT 1.03, "FAT Data Structure").

use crate::SECTOR;
use crate::boot_sector::MEDIA;
use crate::geometry::Geometry;
use crate::options::Type;

/// Mark of the last cluster of a chain, cut to the bits of the type.
const END_OF_CHAIN: u32 = 0x0fff_ffff;

/// Allocator of contiguous clusters, one chain for each content.
pub struct Clusters {
    kind: Type,
    /// Length of a cluster in bytes.
    cluster: u64,
    next: u32,
    table: Vec<u8>,
}

impl Clusters {
    pub fn new(geometry: &Geometry) -> Self {
        let mut clusters = Clusters {
            kind: geometry.kind,
            cluster: geometry.per_cluster * SECTOR,
            next: 0,
            table: Vec::new(),
        };
        // Entry 0 holds the media descriptor, entry 1 the mark of a cleanly unmounted volume.
        clusters.entry(0x0fff_ff00 | u32::from(MEDIA));
        clusters.entry(END_OF_CHAIN);
        clusters
    }

    fn entry(&mut self, value: u32) {
        let at = self.next;
        self.next += 1;
        match self.kind {
            Type::Fat32 => self.table.extend_from_slice(&value.to_le_bytes()),
            Type::Fat16 => self.table.extend_from_slice(&(value as u16).to_le_bytes()),
            // Two entries in three bytes: the second begins in the middle of the second byte.
            Type::Fat12 if at.is_multiple_of(2) => {
                self.table.extend_from_slice(&[value as u8, (value >> 8 & 0xf) as u8])
            }
            Type::Fat12 => {
                if let Some(shared) = self.table.last_mut() {
                    *shared |= (value << 4) as u8;
                }
                self.table.push((value >> 4) as u8);
            }
        }
    }

    /// Allocates contiguous clusters for `len` bytes and returns the first; 0 for no bytes.
    pub fn allocate(&mut self, len: u64) -> u32 {
        let count = len.div_ceil(self.cluster);
        let first = self.next;
        for index in 1..=count {
            self.entry(if index == count { END_OF_CHAIN } else { self.next + 1 });
        }
        if count == 0 { 0 } else { first }
    }

    /// Returns the number of allocated clusters.
    pub fn used(&self) -> u64 {
        u64::from(self.next) - 2
    }

    /// Returns the table up to the last entry in use.
    pub fn table(&self) -> &[u8] {
        &self.table
    }
}
