//! VHDX ([MS-VHDX]): regions, of which one says what the disk is and one where its blocks are.

use extents::Extents;

use super::{Disk, Numbers};

/// "2.2.3 Region Table".
const REGIONS: u64 = 192 << 10;
const MOST_REGIONS: u64 = 2047;
const BAT: u128 = 0x2dc27766_f623_4200_9d64_115e9bfd4a08;
const METADATA: u128 = 0x8b7ca206_4790_4b9a_b8fe_575f050f886e;
/// "2.6.2 Known Metadata Items".
const MOST_ITEMS: u64 = 2047;
const FILE_PARAMETERS: u128 = 0xcaa16737_fa36_4d43_b3b6_33f0aa44e76b;
const DISK_SIZE: u128 = 0x2fa54224_cd1b_4876_b211_5dbed83bf4b8;
const SECTOR_SIZE: u128 = 0x8141bf1d_a96f_4709_ba47_f233a8faab5f;
/// "2.5.1.1": blocks that are there, wholly or with a bitmap that says what of them is.
const PRESENT: u64 = 6;
const PARTLY_PRESENT: u64 = 7;

/// The disk of a VHDX without a parent.
pub fn vhdx(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers {
        content,
        big_endian: false,
    };
    let place = |at: u64, count: u64, wanted: u128| -> Result<u64, String> {
        for index in 0..count {
            let at = at.saturating_add(index.saturating_mul(32));
            if guid(&numbers, at)? == wanted {
                return Ok(at.saturating_add(16));
            }
        }
        Err(format!("this VHDX lacks {wanted:032x}"))
    };
    let regions = numbers.at(REGIONS + 8, 4)?.min(MOST_REGIONS);
    let region = |wanted| place(REGIONS + 16, regions, wanted).and_then(|at| numbers.at(at, 8));
    let (bat, metadata) = (region(BAT)?, region(METADATA)?);
    let items = numbers.at(metadata.saturating_add(10), 2)?.min(MOST_ITEMS);
    let item = |wanted, len| {
        let at = place(metadata.saturating_add(32), items, wanted)?;
        numbers.at(metadata.saturating_add(numbers.at(at, 4)?), len)
    };
    let (block, size, sector) = (item(FILE_PARAMETERS, 4)?, item(DISK_SIZE, 8)?, item(SECTOR_SIZE, 4)?);
    // After the blocks that one bitmap is for there is the entry of the bitmap.
    let chunk = sector.saturating_mul(1 << 23).checked_div(block).unwrap_or(0);
    if chunk == 0 {
        return Err("this VHDX has blocks or sectors of a length that there is not".into());
    }
    let blocks = size.div_ceil(block);
    let entries = blocks.saturating_add(blocks.saturating_sub(1) / chunk);
    let mut disk = Disk::new(content, size);
    let mut at = 0u64;
    for (index, entry) in numbers.table(bat, 8, entries)?.into_iter().enumerate() {
        if (index as u64) % chunk.saturating_add(1) == chunk {
            continue;
        }
        match entry & 7 {
            PRESENT => disk.put(at, (entry >> 20).saturating_mul(1 << 20), block)?,
            PARTLY_PRESENT => return Err("this VHDX has a parent, without which it is no disk".into()),
            _ => {}
        }
        at = at.saturating_add(block);
    }
    Ok(disk.finish())
}

/// A GUID, of which the first three parts stand in little endian, as it is read aloud.
fn guid(numbers: &Numbers, at: u64) -> Result<u128, String> {
    let first = numbers.at(at, 4)?;
    let (second, third) = (
        numbers.at(at.saturating_add(4), 2)?,
        numbers.at(at.saturating_add(6), 2)?,
    );
    let rest = numbers.at(at.saturating_add(8), 8)?.swap_bytes();
    Ok(u128::from(first) << 96 | u128::from(second) << 80 | u128::from(third) << 64 | u128::from(rest))
}
