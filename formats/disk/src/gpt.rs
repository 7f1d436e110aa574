//! GUID partition tables (UEFI 2.10, 5.3), encoded by the crate `gpt`.

use std::ops::Range;

use extents::Extents;
use gpt::disk::LogicalBlockSize;
use gpt::header::{Header, HeaderBuilder};
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition as Entry;
use gpt::partition_types::{OperatingSystem, Type};
use uuid::Uuid;

use crate::device::Device;
use crate::layout::{DiskLayout, Partition, attribute};
use crate::{Error, MAX_BOOT_CODE_LEN, SECTOR};

/// Sectors at the end of the disk: 32 of entries, and the backup header.
pub(crate) const TAIL_SECTORS: u64 = 33;

const BLOCK_SIZE: LogicalBlockSize = LogicalBlockSize::Lb512;

fn encode_error(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Encode {
        table: "GPT",
        source: Box::new(source),
    }
}

/// Writes an MBR whose only entry covers the disk (UEFI 2.10, 5.2.3).
pub(crate) fn put_protective_mbr(disk: &mut Extents, boot_code: &[u8]) -> Result<(), Error> {
    let sectors = (disk.len() / SECTOR).saturating_sub(1);
    let mut mbr = ProtectiveMBR::with_lb_size(u32::try_from(sectors).unwrap_or(u32::MAX));
    let mut code = [0; MAX_BOOT_CODE_LEN];
    for (to, from) in code.iter_mut().zip(boot_code) {
        *to = *from;
    }
    mbr.set_bootcode(code);
    mbr.overwrite_lba0(&mut Device::new(disk)).map_err(encode_error)?;
    Ok(())
}

/// Writes both copies of header and entries.
pub(crate) fn put(disk: &mut Extents, layout: &DiskLayout, ranges: &[Range<u64>], guid: Uuid) -> Result<(), Error> {
    let mut builder = HeaderBuilder::new();
    builder
        .disk_guid(guid)
        .first_usable(layout.reserved.div_ceil(SECTOR))
        .backup_lba((disk.len() / SECTOR).saturating_sub(1));
    let mut primary = builder.primary(true).build(BLOCK_SIZE).map_err(encode_error)?;
    let mut backup = builder.primary(false).build(BLOCK_SIZE).map_err(encode_error)?;
    let entries: Vec<Entry> = layout
        .partitions
        .iter()
        .zip(ranges)
        .map(|(partition, range)| entry(partition, range))
        .collect();
    let mut device = Device::new(disk);
    for header in [&primary, &backup] {
        put_entries(&mut device, header, &entries).map_err(encode_error)?;
    }
    backup.write_backup(&mut device, BLOCK_SIZE).map_err(encode_error)?;
    primary.write_primary(&mut device, BLOCK_SIZE).map_err(encode_error)?;
    Ok(())
}

fn put_entries(device: &mut Device<'_>, header: &Header, entries: &[Entry]) -> std::io::Result<()> {
    for (index, entry) in (0..).zip(entries) {
        entry.write_to_device(device, index, header.part_start, BLOCK_SIZE, header.part_size)?;
    }
    let used = entries.len() as u64;
    Entry::write_zero_entries_to_device(
        device,
        used,
        u64::from(header.num_parts).saturating_sub(used),
        header.part_start,
        BLOCK_SIZE,
        header.part_size,
    )
}

fn entry(partition: &Partition, range: &Range<u64>) -> Entry {
    let bootable = if partition.bootable {
        attribute::LEGACY_BIOS_BOOTABLE
    } else {
        0
    };
    Entry {
        part_type_guid: Type {
            guid: partition.kind.guid().unwrap_or_default(),
            os: OperatingSystem::None,
        },
        part_guid: partition.guid,
        first_lba: range.start / SECTOR,
        last_lba: (range.end / SECTOR).saturating_sub(1),
        flags: partition.attributes | bootable,
        name: partition.label.clone(),
    }
}
