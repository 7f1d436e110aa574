//! From partitions to a disk.

use std::collections::BTreeMap;

use extents::Extents;
use gpt::partition_types::Type as GptType;

use crate::device::Device;
use crate::{ALIGNMENT, Error, SECTOR, Type};

/// Sectors at the end of a GPT disk: 32 of entries, and the header.
const GPT_TAIL: u64 = 33;
/// How a GPT says that a BIOS is to start from a partition (UEFI 2.10, table 5.8, bit 2).
const LEGACY_BOOT: u64 = 1 << 2;
/// How many partitions of a GPT are in a hybrid master boot record too, besides what protects it.
const HYBRID: usize = 3;
/// The type of what protects a GPT (UEFI 2.10, table 5.4).
const PROTECTIVE: u8 = 0xee;
/// The boot code before the table of a master boot record.
const BOOT_CODE: usize = 440;

/// What divides a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A master boot record with a disk signature.
    Mbr {
        /// Its identifier: PARTUUIDs are this and the number of the partition.
        signature: u32,
    },
    /// A GPT, with a master boot record that protects it.
    Gpt {
        /// Its identifier.
        guid: u128,
    },
    /// A GPT, with a master boot record that has its first three partitions as well, for a BIOS that
    /// wants an active one. UEFI does not know it (UEFI 2.10, 5.2.3); most firmware and programs do.
    Hybrid {
        /// The identifier of the GPT.
        guid: u128,
        /// The disk signature of the master boot record.
        signature: u32,
    },
}

impl Scheme {
    fn is_gpt(self) -> bool {
        !matches!(self, Scheme::Mbr { .. })
    }
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// What it is for.
    pub kind: Type,
    /// Its name in a GPT.
    pub name: String,
    /// Its identifier in a GPT.
    pub guid: u128,
    /// Whether a BIOS starts from it.
    pub bootable: bool,
    /// What is in it; its length is that of the partition, rounded up to sectors.
    pub content: Extents,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its bytes.
    pub extents: Extents,
    /// The first byte of each partition.
    pub starts: Vec<u64>,
}

/// The first byte of each partition, and the end of the last.
fn place(partitions: &[Partition]) -> (Vec<u64>, u64) {
    let mut end = 0u64;
    let mut starts = Vec::new();
    for partition in partitions {
        let start = end.max(1).next_multiple_of(ALIGNMENT);
        starts.push(start);
        end = start.saturating_add(partition.content.len().next_multiple_of(SECTOR));
    }
    (starts, end)
}

/// Plans a disk. `boot_code` goes before the table of the master boot record. Without `size` (in
/// bytes, cut to sectors) it is as long as need be, in whole MiB.
///
/// # Errors
/// Too many partitions, too small or too large a disk.
pub fn plan(scheme: Scheme, partitions: &[Partition], boot_code: &[u8], size: Option<u64>) -> Result<Disk, Error> {
    let most = if scheme.is_gpt() { 128 } else { 4 };
    if partitions.len() > most {
        return Err(Error::Partitions {
            count: partitions.len(),
            most,
        });
    }
    if boot_code.len() > BOOT_CODE {
        return Err(Error::BootCode { len: boot_code.len() });
    }
    let (starts, end) = place(partitions);
    let tail = if scheme.is_gpt() { GPT_TAIL * SECTOR } else { 0 };
    let needed = end.saturating_add(tail).max(ALIGNMENT).next_multiple_of(ALIGNMENT);
    let len = match size {
        Some(size) if size < end.saturating_add(tail) => return Err(Error::TooSmall { needed, size }),
        Some(size) => size / SECTOR * SECTOR,
        None => needed,
    };
    let mut disk = Extents::zeros(len);
    match scheme {
        Scheme::Mbr { signature } => mbr(&mut disk, signature, false, partitions, &starts)?,
        Scheme::Gpt { guid } => gpt(&mut disk, guid, partitions, &starts)?,
        Scheme::Hybrid { guid, signature } => {
            gpt(&mut disk, guid, partitions, &starts)?;
            let first = partitions.get(..HYBRID).unwrap_or(partitions);
            mbr(&mut disk, signature, true, first, &starts)?;
        }
    }
    if !boot_code.is_empty() {
        disk.put_bytes(0, boot_code);
    }
    for (partition, start) in partitions.iter().zip(&starts) {
        disk.put(*start, &partition.content);
    }
    Ok(Disk { extents: disk, starts })
}

fn sectors(partition: &Partition) -> u64 {
    partition.content.len().div_ceil(SECTOR)
}

/// Writes a master boot record; a hybrid one has in its first entry what is before the partitions.
fn mbr(
    disk: &mut Extents,
    signature: u32,
    hybrid: bool,
    partitions: &[Partition],
    starts: &[u64],
) -> Result<(), Error> {
    let size = disk.len();
    let too_large = |_| Error::TooLarge { size };
    u32::try_from(size / SECTOR).map_err(too_large)?;
    let table = |error: mbrman::Error| Error::Table(error.to_string());
    let mut device = Device {
        content: disk,
        position: 0,
    };
    let mut mbr = mbrman::MBR::new_from(&mut device, SECTOR as u32, signature.to_le_bytes()).map_err(table)?;
    let entry = |kind, boot, start, sectors| -> Result<_, Error> {
        Ok(mbrman::MBRPartitionEntry {
            boot,
            // Nobody counts cylinders; these say that the LBA counts.
            first_chs: mbrman::CHS::new(1023, 254, 63),
            sys: kind,
            last_chs: mbrman::CHS::new(1023, 254, 63),
            starting_lba: u32::try_from(start).map_err(too_large)?,
            sectors: u32::try_from(sectors).map_err(too_large)?,
        })
    };
    let mut number = 1;
    if hybrid {
        let before = starts.first().map_or(size, |start| *start) / SECTOR;
        mbr[number] = entry(PROTECTIVE, mbrman::BOOT_INACTIVE, 1, before.saturating_sub(1))?;
        number += 1;
    }
    for (partition, start) in partitions.iter().zip(starts) {
        let boot = if partition.bootable {
            mbrman::BOOT_ACTIVE
        } else {
            mbrman::BOOT_INACTIVE
        };
        mbr[number] = entry(partition.kind.mbr(), boot, start / SECTOR, sectors(partition))?;
        number += 1;
    }
    mbr.write_into(&mut device).map_err(table)
}

fn gpt(disk: &mut Extents, guid: u128, partitions: &[Partition], starts: &[u64]) -> Result<(), Error> {
    let table = |error: &dyn std::fmt::Display| Error::Table(error.to_string());
    let last = disk.len() / SECTOR - 1;
    let mut device = Device {
        content: disk,
        position: 0,
    };
    // UEFI 2.10, 5.2.3: as much as the 32 bits can say.
    let protective = gpt::mbr::ProtectiveMBR::with_lb_size(u32::try_from(last).unwrap_or(u32::MAX));
    protective.overwrite_lba0(&mut device).map_err(|error| table(&error))?;
    let mut written = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(gpt::disk::LogicalBlockSize::Lb512)
        .create_from_device(device, Some(uuid(guid)))
        .map_err(|error| table(&error))?;
    let entries: BTreeMap<u32, gpt::partition::Partition> = (1u32..)
        .zip(partitions.iter().zip(starts))
        .map(|(number, (partition, start))| {
            let first = start / SECTOR;
            let entry = gpt::partition::Partition {
                part_type_guid: GptType {
                    guid: uuid(partition.kind.efi()),
                    os: gpt::partition_types::OperatingSystem::None,
                },
                part_guid: uuid(partition.guid),
                first_lba: first,
                last_lba: (first + sectors(partition)).saturating_sub(1),
                flags: if partition.bootable { LEGACY_BOOT } else { 0 },
                name: partition.name.clone(),
            };
            (number, entry)
        })
        .collect();
    written.update_partitions(entries).map_err(|error| table(&error))?;
    written.write().map(drop).map_err(|error| table(&error))
}

fn uuid(value: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(value)
}
