//! Dynamic VHD, Virtual PC's disk image format (Virtual Hard Disk Image Format Specification 1.0).

use extents::Extents;

use super::assembly::Assembly;
use super::fields::{Endian, Fields};
use crate::inspect::Error;

const FORMAT: &str = "dynamic VHD image";
const SECTOR: u64 = 512;
/// Entry of an absent block.
const ABSENT: u64 = u32::MAX as u64;

/// Returns the disk of a dynamic VHD image.
///
/// # Errors
/// A corrupt or truncated image.
pub fn open(content: &Extents) -> Result<Extents, Error> {
    let fields = Fields::new(content, FORMAT, Endian::Big);
    let (len, header) = (fields.number(48, 8)?, fields.number(16, 8)?);
    let field = |at: u64, len| fields.number(header.saturating_add(at), len);
    let (table, entries, block) = (field(16, 8)?, field(28, 4)?, field(32, 4)?);
    let bitmap = block.div_ceil(SECTOR).div_ceil(8).next_multiple_of(SECTOR);
    let mut disk = Assembly::new(content, FORMAT, len);
    for (index, entry) in fields.table(table, 4, entries)?.into_iter().enumerate() {
        if entry != ABSENT {
            let to = (index as u64).saturating_mul(block);
            disk.put(to, entry.saturating_mul(SECTOR).saturating_add(bitmap), block)?;
        }
    }
    Ok(disk.finish())
}
