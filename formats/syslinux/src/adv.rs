//! The auxiliary data vector (libinstaller/setadv.c).

use crate::SECTOR;

const HEAD: u32 = 0x5a2d_2fa5;
const SUM: u32 = 0xa304_1767;
const TAIL: u32 = 0xdd28_bf64;

/// How many sectors it takes: it is there twice.
pub const SECTORS: usize = 2;

/// An empty one, twice.
pub fn empty() -> Vec<u8> {
    let mut sector = Vec::with_capacity(SECTOR * SECTORS);
    sector.extend_from_slice(&HEAD.to_le_bytes());
    // The sum of no data is zero.
    sector.extend_from_slice(&SUM.to_le_bytes());
    sector.resize(SECTOR - 4, 0);
    sector.extend_from_slice(&TAIL.to_le_bytes());
    sector.extend_from_within(..);
    sector
}
