//! Disk layout of a hybrid image (UEFI 2.10, chapter 5; `isohybrid` of syslinux).
//!
//! ```text
//! sector  0   master boot record: boot code | 432 sector of isolinux | 446 entries | 55 aa
//!         1   GPT header
//!         2   GPT entries, 32 sectors
//!        64   first block after the system area
//!       ...
//!       -33   backup of the GPT entries
//!        -1   backup of the GPT header
//! ```
//!
//! A sector has 512 bytes, a block four sectors.

use std::num::NonZeroU8;
use std::ops::Range;

use disk::{DiskLayout, Geometry, Partition, PartitionType, Uuid, attribute};
use extents::Extents;

use crate::BLOCK;
use crate::boot::Boot;
use crate::error::Error;
use crate::options::{Hybrid, Platform, Table};

/// Maximum length of the boot code in bytes, up to the sector number of isolinux.
const BOOT_CODE: usize = 432;
/// Magic and its offset in bytes in an isolinux that boots from a disk (`isohybrid.c`).
const ISOLINUX: ([u8; 4], u64) = ([0xfb, 0xc0, 0x78, 0x70], 64);
/// Number of sectors at the end of a GPT disk: entries and header (UEFI 5.3.1).
const TAIL_SECTORS: u64 = 33;
/// Length of the system area in bytes (ECMA-119 6.2.1).
const SYSTEM_AREA: u64 = 16 * BLOCK;
/// Type of a partition that no system mounts (hidden NTFS), as in `isohybrid`.
const HIDDEN: u8 = 0x17;
/// Alignment of images and EFI partitions in blocks: 1 MiB, a cylinder of [`GEOMETRY`].
pub(crate) const ALIGNMENT: u64 = (1 << 20) / BLOCK;
/// Number of blocks for the backup of the GPT.
pub(crate) const BACKUP: u64 = (TAIL_SECTORS * disk::SECTOR).div_ceil(BLOCK);
/// Geometry of `isohybrid`, with cylinders of 1 MiB.
const GEOMETRY: Option<Geometry> = match (NonZeroU8::new(64), NonZeroU8::new(32)) {
    (Some(heads), Some(sectors)) => Some(Geometry { heads, sectors }),
    _ => None,
};

/// Refuses options with which the image cannot be a disk.
pub(crate) fn check(hybrid: &Hybrid, boots: &[Boot<'_>]) -> Result<(), Error> {
    let len = hybrid.boot_code.len();
    if len > BOOT_CODE {
        return Err(Error::BootCode { len, limit: BOOT_CODE });
    }
    if len > 0 {
        let (index, boot) = bios(boots).ok_or(Error::NothingToStart)?;
        let (magic, at) = ISOLINUX;
        let mut found = [0; 4];
        if boot.content.len() < at + 4 {
            return Err(Error::NotIsolinux { index });
        }
        boot.content
            .read_exact_at(&mut found, at)
            .map_err(|source| Error::ReadBootImage { index, source })?;
        if found != magic {
            return Err(Error::NotIsolinux { index });
        }
    }
    let count = efi(boots).count();
    if hybrid.table == Table::Mbr && count > 3 {
        return Err(Error::ManyPartitions { count });
    }
    Ok(())
}

fn bios<'a, 'b>(boots: &'a [Boot<'b>]) -> Option<(usize, &'a Boot<'b>)> {
    boots
        .iter()
        .enumerate()
        .find(|(_, boot)| boot.entry.platform == Platform::Bios)
}

fn efi<'a, 'b>(boots: &'a [Boot<'b>]) -> impl Iterator<Item = &'a Boot<'b>> {
    boots.iter().filter(|boot| boot.entry.platform == Platform::Efi)
}

/// Hashes all bytes to 128 bits (FNV-1a).
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = parts.into_iter().flatten();
    bytes.fold(START, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// Derives the identifier of the disk (0) or a partition, of version 8 (RFC 9562, 5.8).
fn guid(id: u128, index: usize) -> Uuid {
    let hash = digest([id.to_le_bytes().as_slice(), &(index as u64).to_le_bytes()]);
    let mut bytes = hash.to_le_bytes();
    // The version is in the upper half of the third number, which is in little endian.
    bytes[7] = bytes[7] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes_le(bytes)
}

/// Puts partition table and boot code over an image.
pub(crate) fn put(image: Extents, hybrid: &Hybrid, boots: &[Boot<'_>], id: u128) -> Result<Extents, Error> {
    let size = image.len();
    let layout = layout(image, hybrid, boots, id)?;
    disk::plan(&layout, Some(size), disk::SECTOR).map_err(|error| match error {
        disk::Error::TooLarge { len } => Error::LargeDisk { size: len },
        error => Error::Disk(error),
    })
}

/// Describes the image as a disk: a partition for the files, and one for each EFI image.
fn layout(image: Extents, hybrid: &Hybrid, boots: &[Boot<'_>], id: u128) -> Result<DiskLayout, Error> {
    let (size, efi) = (image.len(), spans(boots));
    let first_efi = efi.first().map(|span| span.start);
    let (table, files, kind) = match hybrid.table {
        Table::Gpt => (
            disk::Table::Gpt { guid: guid(id, 0) },
            SYSTEM_AREA..first_efi.unwrap_or(size.saturating_sub(TAIL_SECTORS * disk::SECTOR)),
            PartitionType::Linux,
        ),
        Table::Mbr => (
            disk::Table::Mbr { signature: id as u32 },
            0..first_efi.unwrap_or(size),
            PartitionType::Byte(HIDDEN),
        ),
    };
    let mut layout = DiskLayout::new(table);
    layout.boot_code = boot_code(hybrid, boots, size)?;
    layout.geometry = GEOMETRY;
    layout.reserved = SYSTEM_AREA;
    layout.base = image;
    let mut files = part(kind, "ISO9660", files);
    files.attributes = attribute::READ_ONLY;
    // Some BIOSes require an active partition, which a GPT does not have.
    files.bootable = hybrid.table == Table::Mbr;
    layout.partitions.push(files);
    let efi = efi.into_iter().map(|span| part(PartitionType::Esp, "EFI", span));
    layout.partitions.extend(efi);
    for (number, partition) in (1..).zip(&mut layout.partitions) {
        partition.guid = guid(id, number);
    }
    Ok(layout)
}

/// Describes a partition that is a part of the image.
fn part(kind: PartitionType, label: &str, range: Range<u64>) -> Partition {
    let mut partition = Partition::new(kind, Extents::new());
    partition.label = label.to_owned();
    partition.start = Some(range.start);
    partition.min_size = range.end.saturating_sub(range.start);
    partition
}

/// Encodes the boot code of syslinux, followed by the sector of the image that it starts.
fn boot_code(hybrid: &Hybrid, boots: &[Boot<'_>], size: u64) -> Result<Vec<u8>, Error> {
    let Some((_, boot)) = bios(boots).filter(|_| !hybrid.boot_code.is_empty()) else {
        return Ok(Vec::new());
    };
    let sector = u64::from(boot.place.block) * (BLOCK / disk::SECTOR);
    let sector = u32::try_from(sector).map_err(|_| Error::LargeDisk { size })?;
    let mut code = hybrid.boot_code.clone();
    code.resize(BOOT_CODE, 0);
    code.extend(u64::from(sector).to_le_bytes());
    Ok(code)
}

/// Returns the byte ranges of the EFI images, rounded up to blocks, in order, each once.
fn spans(boots: &[Boot<'_>]) -> Vec<Range<u64>> {
    let span = |boot: &Boot<'_>| {
        let start = u64::from(boot.place.block) * BLOCK;
        start..start + boot.place.len.next_multiple_of(BLOCK)
    };
    let mut spans: Vec<Range<u64>> = efi(boots).map(span).collect();
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    spans.dedup();
    spans
}
