//! The partition tables that make an image a disk (UEFI 2.10, chapter 5; `isohybrid` of
//! syslinux).
//!
//! ```text
//! sector  0   master boot record: boot code | 432 sector of isolinux | 446 entries | 55 aa
//!         1   GPT header
//!         2   GPT entries, 32 sectors
//!        64   the first block behind the system area
//!       ...
//!       -33   GPT entries again
//!        -1   GPT header again
//! ```
//!
//! A sector has 512 bytes here: a block has four.

use crate::boot::Boot;
use crate::{BLOCK, Error, Hybrid, Platform, Table};

/// The length of a sector in bytes.
const SECTOR: u64 = 512;
/// Sectors in a block.
const PER_BLOCK: u64 = BLOCK / SECTOR;
/// Room for boot code in bytes, up to the sector of isolinux.
const BOOT_CODE: usize = 432;
/// What isolinux has at byte 64 when it can be started from a disk (`isohybrid.c`).
const ISOLINUX: ([u8; 4], u64) = ([0xfb, 0xc0, 0x78, 0x70], 64);
/// Entries of a GPT, and the length of one in bytes (UEFI 5.3.2: at least 16,384 bytes in all).
const ENTRIES: usize = 128;
const ENTRY: usize = 128;
/// Sectors of the entries.
const ENTRY_SECTORS: u64 = (ENTRIES * ENTRY) as u64 / SECTOR;
/// The first sector behind the system area.
const FIRST: u64 = 64;
/// What images and EFI partitions are aligned to in blocks: 1 MiB, a cylinder of 64 heads of 32
/// sectors.
pub(crate) const ALIGNMENT: u64 = (1 << 20) / BLOCK;
/// Blocks for the backup of the GPT.
pub(crate) const BACKUP: u64 = (ENTRY_SECTORS + 1).div_ceil(PER_BLOCK);

/// An EFI system partition (UEFI 5.3.3), and a file system of Linux (Discoverable Partitions
/// Specification), as GUIDs stand on disk.
const EFI_SYSTEM: u128 = u128::from_le_bytes([
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
]);
const LINUX_DATA: u128 = u128::from_le_bytes([
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
]);
/// Attribute of a partition that nobody writes to (Discoverable Partitions Specification).
const READ_ONLY: u64 = 1 << 60;

/// Whether the image can be a disk as the caller wants it.
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

/// A number of 128 bits that depends on all bytes: FNV-1a.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = parts.into_iter().flatten();
    bytes.fold(START, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// A GUID of version 8 (RFC 9562, 5.8), as it stands on disk.
fn guid(id: u128, index: usize) -> u128 {
    let hash = digest([id.to_le_bytes().as_slice(), &(index as u64).to_le_bytes()]);
    let mut bytes = hash.to_le_bytes();
    // The version is in the upper half of the third number, which is in little endian.
    bytes[7] = bytes[7] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    u128::from_le_bytes(bytes)
}

/// A partition in sectors.
struct Partition {
    kind: u128,
    first: u64,
    last: u64,
    attributes: u64,
    name: &'static str,
}

/// The disk around an image of so many blocks: bytes and where they stand, in bytes.
pub(crate) fn tables(hybrid: &Hybrid, boots: &[Boot<'_>], blocks: u32, id: u128) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let sectors = u64::from(blocks) * PER_BLOCK;
    let too_large = || Error::LargeDisk { size: sectors * SECTOR };
    let mut mbr = hybrid.boot_code.clone();
    mbr.resize(BOOT_CODE, 0);
    let isolinux = match bios(boots) {
        Some((_, boot)) if !hybrid.boot_code.is_empty() => {
            u32::try_from(u64::from(boot.place.block) * PER_BLOCK).map_err(|_| too_large())?
        }
        _ => 0,
    };
    mbr.extend(u64::from(isolinux).to_le_bytes());
    if hybrid.table == Table::Mbr {
        let total = u32::try_from(sectors).map_err(|_| too_large())?;
        mbr.extend((id as u32).to_le_bytes());
        mbr.extend([0; 2]);
        mbr.extend(mbr_entries(boots, total));
        mbr.extend([0x55, 0xaa]);
        return Ok(vec![(0, mbr)]);
    }
    // UEFI 5.2.3: no signature, one entry for all that 32 bits can say.
    mbr.extend([0; 6]);
    let rest = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    mbr.extend([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    mbr.extend(1u32.to_le_bytes());
    mbr.extend(rest.to_le_bytes());
    mbr.resize(510, 0);
    mbr.extend([0x55, 0xaa]);

    let entries = gpt_entries(&partitions(boots, sectors), id);
    let header = |here: u64, other: u64, table: u64| gpt_header(here, other, table, sectors, guid(id, 0), &entries);
    let last = sectors - 1;
    let backup = last - ENTRY_SECTORS;
    Ok(vec![
        (0, mbr),
        (SECTOR, header(1, last, 2)),
        (2 * SECTOR, entries.clone()),
        (backup * SECTOR, entries.clone()),
        (last * SECTOR, header(last, 1, backup)),
    ])
}

/// One entry of a master boot record.
fn mbr_entry(flag: u8, kind: u8, first: u32, len: u32) -> Vec<u8> {
    let mut bytes = vec![flag];
    bytes.extend(chs(first));
    bytes.push(kind);
    bytes.extend(chs(first.saturating_add(len).saturating_sub(1)));
    bytes.extend(first.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes
}

/// Four entries: the files, active and with a type that no system mounts, and the EFI images.
fn mbr_entries(boots: &[Boot<'_>], total: u32) -> Vec<u8> {
    const HIDDEN_NTFS: u8 = 0x17;
    const EFI_SYSTEM: u8 = 0xef;
    let spans = spans(boots);
    let files = spans.first().map_or(total, |span| span.0 as u32);
    let mut bytes = mbr_entry(0x80, HIDDEN_NTFS, 0, files);
    for (first, last) in spans {
        let len = last.saturating_sub(first).saturating_add(1);
        bytes.extend(mbr_entry(0, EFI_SYSTEM, first as u32, len as u32));
    }
    bytes.resize(64, 0);
    bytes
}

/// Cylinder, head and sector of a sector, with 64 heads of 32 sectors.
fn chs(sector: u32) -> [u8; 3] {
    let (cylinder, head, sector) = (sector / 2048, sector / 32 % 64, sector % 32 + 1);
    if cylinder < 1024 {
        [head as u8, (sector | cylinder >> 8 << 6) as u8, cylinder as u8]
    } else {
        [0xfe, 0xff, 0xff]
    }
}

/// The first and the last sector of a boot image, in whole blocks.
fn sectors_of(boot: &Boot<'_>) -> (u64, u64) {
    let first = u64::from(boot.place.block) * PER_BLOCK;
    let len = boot.place.len.div_ceil(BLOCK) * PER_BLOCK;
    (first, first + len.saturating_sub(1))
}

/// Where the EFI images stand, in order, each once.
fn spans(boots: &[Boot<'_>]) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> = efi(boots).map(sectors_of).collect();
    spans.sort_unstable();
    spans.dedup();
    spans
}

/// The partitions of a GPT: the files up to the first EFI image, and the EFI images.
fn partitions(boots: &[Boot<'_>], sectors: u64) -> Vec<Partition> {
    let spans = spans(boots);
    let end = spans.first().map_or(sectors - 1 - ENTRY_SECTORS, |span| span.0);
    let mut partitions = vec![Partition {
        kind: LINUX_DATA,
        first: FIRST,
        last: end - 1,
        attributes: READ_ONLY,
        name: "ISO9660",
    }];
    partitions.extend(spans.into_iter().map(|(first, last)| Partition {
        kind: EFI_SYSTEM,
        first,
        last,
        attributes: 0,
        name: "EFI",
    }));
    partitions
}

/// The entries of a GPT (UEFI 5.3.3).
fn gpt_entries(partitions: &[Partition], id: u128) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, partition) in partitions.iter().enumerate() {
        bytes.extend(partition.kind.to_le_bytes());
        bytes.extend(guid(id, at + 1).to_le_bytes());
        for number in [partition.first, partition.last, partition.attributes] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(partition.name.encode_utf16().flat_map(u16::to_le_bytes));
        bytes.resize((at + 1) * ENTRY, 0);
    }
    bytes.resize(ENTRIES * ENTRY, 0);
    bytes
}

/// A header of a GPT (UEFI 5.3.2): one sector.
fn gpt_header(here: u64, other: u64, table: u64, sectors: u64, disk: u128, entries: &[u8]) -> Vec<u8> {
    let fields = |sum: u32| {
        let mut bytes = b"EFI PART".to_vec();
        bytes.extend(0x0001_0000u32.to_le_bytes()); // 8: revision
        bytes.extend(92u32.to_le_bytes()); // 12: length of the header
        bytes.extend(sum.to_le_bytes()); // 16
        bytes.extend([0; 4]); // 20
        for number in [here, other, FIRST, sectors - 2 - ENTRY_SECTORS] {
            bytes.extend(number.to_le_bytes()); // 24, 32; 40, 48: first and last usable sector
        }
        bytes.extend(disk.to_le_bytes()); // 56
        bytes.extend(table.to_le_bytes()); // 72
        bytes.extend((ENTRIES as u32).to_le_bytes()); // 80
        bytes.extend((ENTRY as u32).to_le_bytes()); // 84
        bytes.extend(crc32fast::hash(entries).to_le_bytes()); // 88
        bytes
    };
    let mut bytes = fields(crc32fast::hash(&fields(0)));
    bytes.resize(SECTOR as usize, 0);
    bytes
}
