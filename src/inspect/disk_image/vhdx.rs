//! VHDX, Hyper-V's disk image format ([MS-VHDX]): a metadata region describes the disk, a block
//! allocation table (BAT) region places its blocks.

use extents::Extents;

use super::assembly::Assembly;
use super::fields::{Endian, Fields};
use crate::inspect::Error;

const FORMAT: &str = "VHDX image";
/// "2.2.3 Region Table".
const REGIONS: u64 = 192 << 10;
const MAX_REGIONS: u64 = 2047;
const BAT: u128 = 0x2dc27766_f623_4200_9d64_115e9bfd4a08;
const METADATA: u128 = 0x8b7ca206_4790_4b9a_b8fe_575f050f886e;
/// "2.6.2 Known Metadata Items".
const MAX_ITEMS: u64 = 2047;
const FILE_PARAMETERS: u128 = 0xcaa16737_fa36_4d43_b3b6_33f0aa44e76b;
const DISK_SIZE: u128 = 0x2fa54224_cd1b_4876_b211_5dbed83bf4b8;
const SECTOR_SIZE: u128 = 0x8141bf1d_a96f_4709_ba47_f233a8faab5f;
/// "2.5.1.1 Payload BAT Entry States": wholly present, or as far as a bitmap says.
const FULLY_PRESENT: u64 = 6;
const PARTIALLY_PRESENT: u64 = 7;

/// Returns the disk of a VHDX image without a parent.
///
/// # Errors
/// A corrupt, truncated or unsupported image.
pub fn open(content: &Extents) -> Result<Extents, Error> {
    let fields = Fields::new(content, FORMAT, Endian::Little);
    let find = |at: u64, count: u64, wanted: u128| -> Result<u64, Error> {
        for index in 0..count {
            let at = at.saturating_add(index.saturating_mul(32));
            if guid(&fields, at)? == wanted {
                return Ok(at.saturating_add(16));
            }
        }
        Err(Error::Corrupt {
            format: FORMAT,
            found: format!("no region or metadata item {wanted:032x}"),
        })
    };
    let regions = fields.number(REGIONS + 8, 4)?.min(MAX_REGIONS);
    let region = |wanted| find(REGIONS + 16, regions, wanted).and_then(|at| fields.number(at, 8));
    let (bat, metadata) = (region(BAT)?, region(METADATA)?);
    let items = fields.number(metadata.saturating_add(10), 2)?.min(MAX_ITEMS);
    let item = |wanted, len| {
        let at = find(metadata.saturating_add(32), items, wanted)?;
        fields.number(metadata.saturating_add(fields.number(at, 4)?), len)
    };
    let (block, len, sector) = (item(FILE_PARAMETERS, 4)?, item(DISK_SIZE, 8)?, item(SECTOR_SIZE, 4)?);
    // Number of blocks that share a bitmap, whose entry follows theirs.
    let chunk = sector.saturating_mul(1 << 23).checked_div(block).unwrap_or(0);
    if chunk == 0 {
        return Err(Error::Corrupt {
            format: FORMAT,
            found: format!("blocks of {block} bytes with sectors of {sector} bytes"),
        });
    }
    let blocks = len.div_ceil(block);
    let entries = blocks.saturating_add(blocks.saturating_sub(1) / chunk);
    let mut disk = Assembly::new(content, FORMAT, len);
    let mut to = 0u64;
    for (index, entry) in fields.table(bat, 8, entries)?.into_iter().enumerate() {
        if (index as u64) % chunk.saturating_add(1) == chunk {
            continue;
        }
        match entry & 7 {
            FULLY_PRESENT => disk.put(to, (entry >> 20).saturating_mul(1 << 20), block)?,
            PARTIALLY_PRESENT => {
                return Err(Error::Unsupported {
                    format: FORMAT,
                    feature: "a parent".into(),
                });
            }
            _ => {}
        }
        to = to.saturating_add(block);
    }
    Ok(disk.finish())
}

/// Reads a GUID as it is written in text. Its first three parts are little-endian.
fn guid(fields: &Fields, at: u64) -> Result<u128, Error> {
    let first = fields.number(at, 4)?;
    let second = fields.number(at.saturating_add(4), 2)?;
    let third = fields.number(at.saturating_add(6), 2)?;
    let rest = fields.number(at.saturating_add(8), 8)?.swap_bytes();
    Ok(u128::from(first) << 96 | u128::from(second) << 80 | u128::from(third) << 64 | u128::from(rest))
}
