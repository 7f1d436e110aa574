//! Partitions of a disk. The crate `gpt` reads a GPT; the crate `mbrman` panics on some master
//! boot records, so that those are read here.

use extents::Extents;
use indicatif::BinaryBytes;

use super::Error;
use super::contents::{Contents, Descend, Entry};
use super::source::Source;

const SECTOR: u64 = 512;
/// Signature at the end of a boot sector (UEFI 2.10, 5.2.1).
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// Lists the partitions of a disk, each named by its number.
///
/// # Errors
/// A GPT that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if head.get(510..512) != Some(&SIGNATURE) {
        Ok(None)
    } else if head.get(512..520) == Some(b"EFI PART") {
        gpt(content).map(Some)
    } else {
        Ok(mbr(head, content))
    }
}

fn sectors(content: &Extents, first: u64, count: u64) -> Extents {
    content.part(first.saturating_mul(SECTOR), count.saturating_mul(SECTOR))
}

fn gpt(content: &Extents) -> Result<Contents, Error> {
    let disk = gpt::GptConfig::new()
        .writable(false)
        .open_from_device(Source::new(content.clone()))
        .map_err(|error| Error::reader("GPT", error))?;
    let mut entries = Vec::new();
    let mut details = Vec::new();
    for (number, partition) in disk.partitions().iter().filter(|(_, partition)| partition.is_used()) {
        let first = partition.first_lba;
        let count = partition.last_lba.saturating_add(1).saturating_sub(first);
        details.push(format!(
            "partition {number}: {:?}, type {}, {} from sector {first}",
            partition.name,
            partition.part_type_guid.guid,
            BinaryBytes(count.saturating_mul(SECTOR)),
        ));
        entries.push(Entry::file(number.to_string(), sectors(content, first, count)));
    }
    Ok(Contents {
        format: "GPT disk",
        summary: format!("GPT disk {}, {}", disk.guid(), BinaryBytes(content.len())),
        details,
        entries,
        descend: Descend::All,
    })
}

/// Reads the four entries of a master boot record. The boot sector of a filesystem has the same
/// signature: in a partition table, every partition lies on the disk.
fn mbr(head: &[u8], content: &Extents) -> Option<Contents> {
    let dword = |at: usize| {
        let bytes: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let disk_sectors = content.len() / SECTOR;
    let mut entries = Vec::new();
    let mut details = Vec::new();
    for number in 1..=4 {
        let entry = 446 + 16 * (number - 1);
        let (kind, first, count) = (head.get(entry + 4)?, dword(entry + 8)?, dword(entry + 12)?);
        if *kind == 0 {
            continue;
        }
        let (first, count) = (u64::from(first), u64::from(count));
        if first + count > disk_sectors || head.get(entry)? & 0x7f != 0 {
            return None;
        }
        details.push(format!(
            "partition {number}: type {kind:02x}, {} from sector {first}",
            BinaryBytes(count * SECTOR)
        ));
        entries.push(Entry::file(number.to_string(), sectors(content, first, count)));
    }
    if entries.is_empty() {
        return None;
    }
    Some(Contents {
        format: "MBR disk",
        summary: format!("MBR disk {:08x}, {}", dword(440)?, BinaryBytes(content.len())),
        details,
        entries,
        descend: Descend::All,
    })
}
