//! VDI, VirtualBox's disk image format.

use extents::Extents;

use super::assembly::Assembly;
use super::fields::{Endian, Fields};
use crate::inspect::Error;

const FORMAT: &str = "VDI image";
/// First of the two entries for an absent block: free, and zeros.
const ABSENT: u64 = 0xffff_fffe;

/// Returns the disk of a VDI image.
///
/// # Errors
/// A corrupt or truncated image.
pub fn open(content: &Extents) -> Result<Extents, Error> {
    let fields = Fields::new(content, FORMAT, Endian::Little);
    let (map, data) = (fields.number(340, 4)?, fields.number(344, 4)?);
    let (len, block, blocks) = (fields.number(368, 8)?, fields.number(376, 4)?, fields.number(384, 4)?);
    let mut disk = Assembly::new(content, FORMAT, len);
    for (index, entry) in fields.table(map, 4, blocks)?.into_iter().enumerate() {
        if entry < ABSENT {
            let to = (index as u64).saturating_mul(block);
            disk.put(to, data.saturating_add(entry.saturating_mul(block)), block)?;
        }
    }
    Ok(disk.finish())
}
