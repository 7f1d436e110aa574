//! The auxiliary data vector, ADV (libinstaller/setadv.c).

use crate::SECTOR;

/// Magic numbers of the start and the end of an ADV.
const START: u32 = 0x5a2d_2fa5;
const END: u32 = 0xdd28_bf64;
/// Checksum of an ADV without data: the number from which the sum is subtracted.
const CHECKSUM: u32 = 0xa304_1767;

/// Length in sectors: there are two copies.
pub(crate) const SECTORS: usize = 2;

/// Returns both copies of an ADV without data.
pub(crate) fn empty() -> Vec<u8> {
    let mut sector = Vec::with_capacity(SECTOR * SECTORS);
    sector.extend_from_slice(&START.to_le_bytes());
    sector.extend_from_slice(&CHECKSUM.to_le_bytes());
    sector.resize(SECTOR - 4, 0);
    sector.extend_from_slice(&END.to_le_bytes());
    sector.extend_from_within(..);
    sector
}
