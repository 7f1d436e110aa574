//! The header ("Hosted Sparse Extent Header").

use crate::{GRAIN_SECTORS, SECTOR, TABLE_ENTRIES, descriptor};

/// Flag: the header has bytes that a transfer as text would change.
pub(crate) const VALID_NEWLINE_TEST: u32 = 1 << 0;
/// Flag: there is a second grain directory.
pub(crate) const REDUNDANT_TABLE: u32 = 1 << 1;
/// Flag: grains are compressed.
pub(crate) const COMPRESSED_GRAINS: u32 = 1 << 16;
/// Flag: there are markers.
pub(crate) const MARKERS: u32 = 1 << 17;

/// Fields that differ between images. Lengths and offsets are in sectors.
pub(crate) struct Header {
    pub version: u32,
    pub flags: u32,
    pub capacity: u64,
    /// Offset of the second grain directory ("rgdOffset").
    pub redundant_directory: u64,
    /// Offset of the grain directory ("gdOffset").
    pub directory: u64,
    /// Length of all that precedes the first grain.
    pub overhead: u64,
    pub compression: u16,
}

impl Header {
    /// Encodes the header as a sector.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut header = b"KDMV".to_vec();
        header.extend_from_slice(&self.version.to_le_bytes());
        header.extend_from_slice(&self.flags.to_le_bytes());
        header.extend_from_slice(&self.capacity.to_le_bytes());
        header.extend_from_slice(&GRAIN_SECTORS.to_le_bytes());
        header.extend_from_slice(&descriptor::START.to_le_bytes());
        header.extend_from_slice(&descriptor::SECTORS.to_le_bytes());
        header.extend_from_slice(&(TABLE_ENTRIES as u32).to_le_bytes());
        header.extend_from_slice(&self.redundant_directory.to_le_bytes());
        header.extend_from_slice(&self.directory.to_le_bytes());
        header.extend_from_slice(&self.overhead.to_le_bytes());
        // "uncleanShutdown", then the bytes that a transfer as text would change.
        header.extend_from_slice(b"\0\n \r\n");
        header.extend_from_slice(&self.compression.to_le_bytes());
        header.resize(SECTOR as usize, 0);
        header
    }
}
