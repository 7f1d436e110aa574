//! VMDK, VMware's disk image format, with one sparse extent (Virtual Disk Format 5.0).

use extents::Extents;

use super::assembly::Assembly;
use super::clusters::{Cluster, Compression};
use super::fields::{Endian, Fields};
use crate::inspect::Error;

const FORMAT: &str = "VMDK image";
const MAGIC: u64 = u32::from_le_bytes(*b"KDMV") as u64;
const SECTOR: u64 = 512;
/// Maximum length of a grain, in bytes.
const MAX_GRAIN: u64 = 1 << 30;

/// Returns the disk of a VMDK image, and whether its grains are compressed.
///
/// # Errors
/// A corrupt, truncated or unsupported image.
pub fn open(content: &Extents) -> Result<(bool, Extents), Error> {
    // The field gdOffset, or all ones if the header at the end of the file has it.
    let is_at_end = content.part(56, 8).to_vec().is_ok_and(|bytes| bytes == [0xff; 8]);
    let header = if is_at_end {
        content.part(content.len().saturating_sub(1024), SECTOR)
    } else {
        content.part(0, SECTOR)
    };
    let header = Fields::new(&header, FORMAT, Endian::Little);
    let fields = Fields::new(content, FORMAT, Endian::Little);
    if header.number(0, 4)? != MAGIC {
        return Err(Error::Truncated {
            format: FORMAT,
            found: "no header at its end".into(),
        });
    }
    let sectors = |at| header.number(at, 8).map(|value| value.saturating_mul(SECTOR));
    let (len, grain, entries, directory) = (sectors(12)?, sectors(20)?, header.number(44, 4)?, sectors(56)?);
    let is_compressed = match header.number(77, 2)? {
        0 => false,
        1 => true,
        other => {
            return Err(Error::Unsupported {
                format: FORMAT,
                feature: format!("compression algorithm {other}"),
            });
        }
    };
    if grain == 0 || grain > MAX_GRAIN || entries == 0 {
        return Err(Error::Corrupt {
            format: FORMAT,
            found: format!("grains of {grain} bytes in tables of {entries} entries"),
        });
    }
    let tables = len.div_ceil(grain.saturating_mul(entries));
    let mut disk = Assembly::new(content, FORMAT, len);
    for (group, table) in fields.table(directory, 4, tables)?.into_iter().enumerate() {
        // A table without grains may be absent.
        if table == 0 {
            continue;
        }
        let table = fields.table(table.saturating_mul(SECTOR), 4, entries)?;
        for (index, entry) in table.into_iter().enumerate() {
            // 0 is an absent grain, 1 one of zeros.
            if entry <= 1 {
                continue;
            }
            let index = (group as u64).saturating_mul(entries).saturating_add(index as u64);
            let (to, from) = (index.saturating_mul(grain), entry.saturating_mul(SECTOR));
            if is_compressed {
                // "Grain marker": the sector on the disk, the length, the compressed bytes.
                let max_len = fields.number(from.saturating_add(8), 4)?;
                let from = from.saturating_add(12);
                disk.put_compressed(Cluster { to, from, max_len })?;
            } else {
                disk.put(to, from, grain)?;
            }
        }
    }
    Ok(if is_compressed {
        (true, disk.finish_compressed(grain, Compression::Zlib))
    } else {
        (false, disk.finish())
    })
}
