//! Master boot records (UEFI 2.10, 5.2), encoded by the crate `mbrman`.

use std::ops::Range;

use extents::Extents;
use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

use crate::device::Device;
use crate::layout::{DiskLayout, Geometry};
use crate::{Error, MAX_HYBRID_PARTITIONS, SECTOR};

/// Type of the entry that protects a GPT (UEFI 2.10, table 5.4).
const PROTECTIVE: u8 = 0xee;
/// Number of cylinders that an address of 10 bits can name.
const MAX_CYLINDERS: u16 = 1024;

/// Writes an MBR with all partitions.
pub(crate) fn put(disk: &mut Extents, layout: &DiskLayout, ranges: &[Range<u64>], signature: u32) -> Result<(), Error> {
    let size = disk.len();
    let entries = entries(layout, ranges, size)?;
    encode(disk, layout, &entries, signature)
}

/// Writes an MBR whose first entry protects the GPT, up to the first partition, and whose others
/// are the first three partitions.
pub(crate) fn put_hybrid(
    disk: &mut Extents,
    layout: &DiskLayout,
    ranges: &[Range<u64>],
    signature: u32,
) -> Result<(), Error> {
    let size = disk.len();
    let first = ranges.first().map_or(size, |range| range.start);
    let protective = entry(PROTECTIVE, false, &(SECTOR..first), layout.geometry, size)?;
    let shared = ranges.get(..MAX_HYBRID_PARTITIONS).unwrap_or(ranges);
    let mut all = vec![protective];
    all.extend(entries(layout, shared, size)?);
    encode(disk, layout, &all, signature)
}

fn entries(layout: &DiskLayout, ranges: &[Range<u64>], size: u64) -> Result<Vec<MBRPartitionEntry>, Error> {
    let entry = |(partition, range): (&crate::Partition, &Range<u64>)| {
        let kind = partition.kind.byte().unwrap_or_default();
        entry(kind, partition.bootable, range, layout.geometry, size)
    };
    layout.partitions.iter().zip(ranges).map(entry).collect()
}

fn entry(
    kind: u8,
    bootable: bool,
    range: &Range<u64>,
    geometry: Option<Geometry>,
    size: u64,
) -> Result<MBRPartitionEntry, Error> {
    let too_large = |_| Error::TooLarge { len: size };
    let start = u32::try_from(range.start / SECTOR).map_err(too_large)?;
    let sectors = u32::try_from(range.end.saturating_sub(range.start) / SECTOR).map_err(too_large)?;
    Ok(MBRPartitionEntry {
        boot: if bootable { BOOT_ACTIVE } else { BOOT_INACTIVE },
        first_chs: chs(start, geometry),
        sys: kind,
        last_chs: chs(start.saturating_add(sectors).saturating_sub(1), geometry),
        starting_lba: start,
        sectors,
    })
}

/// Returns the cylinder, head and sector of an LBA; without a geometry, or beyond the last cylinder,
/// the address that says that only the LBA counts.
fn chs(lba: u32, geometry: Option<Geometry>) -> CHS {
    let address =
        |Geometry { heads, sectors }| CHS::from_lba_exact(lba, MAX_CYLINDERS, heads.get(), sectors.get()).ok();
    geometry.and_then(address).unwrap_or_else(|| CHS::new(1023, 254, 63))
}

fn encode(disk: &mut Extents, layout: &DiskLayout, entries: &[MBRPartitionEntry], signature: u32) -> Result<(), Error> {
    let size = disk.len();
    u32::try_from(size / SECTOR).map_err(|_| Error::TooLarge { len: size })?;
    let mut header = MBRHeader::new(signature.to_le_bytes());
    for (to, from) in header.bootstrap_code.iter_mut().zip(&layout.boot_code) {
        *to = *from;
    }
    for (number, entry) in (1..).zip(entries) {
        if let Some(to) = header.get_mut(number) {
            *to = entry.clone();
        }
    }
    header
        .write_into(&mut Device::new(disk))
        .map_err(|source| Error::Encode {
            table: "MBR",
            source: Box::new(source),
        })
}
