//! Partitions; those of a GPT are read by the crate `gpt`.

use extents::Extents;

use super::source::Source;
use super::{Inside, Look};

const SECTOR: u64 = 512;

/// The partitions of a disk, by number.
pub fn partitions(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if head.get(510..512) != Some(&[0x55, 0xaa]) {
        return Ok(None);
    }
    match head.get(512..520) {
        Some(b"EFI PART") => gpt(content).map(Some),
        _ => Ok(mbr(head, content)),
    }
}

fn part(content: &Extents, first: u64, count: u64) -> Extents {
    content.part(first.saturating_mul(SECTOR), count.saturating_mul(SECTOR))
}

fn gpt(content: &Extents) -> Result<Inside, String> {
    let disk = gpt::GptConfig::new()
        .writable(false)
        .open_from_device(Source::new(content.clone()))
        .map_err(|error| format!("its GPT cannot be read: {error}"))?;
    let mut files = Vec::new();
    let mut what = format!("GPT disk {} of {} bytes", disk.guid(), content.len());
    for (number, partition) in disk.partitions().iter().filter(|(_, partition)| partition.is_used()) {
        let count = (partition.last_lba.saturating_add(1)).saturating_sub(partition.first_lba);
        what.push_str(&format!(
            "; partition {number} {:?} of type {} at sector {}, {count} sectors",
            partition.name, partition.part_type_guid.guid, partition.first_lba
        ));
        files.push((number.to_string(), part(content, partition.first_lba, count)));
    }
    Ok(Inside {
        what,
        files,
        look: Look::All,
    })
}

/// The four partitions of a master boot record; the crate `mbrman` panics on some tables. A boot
/// sector ends as it does: all partitions must be within the disk.
fn mbr(head: &[u8], content: &Extents) -> Option<Inside> {
    let dword = |at: usize| {
        let bytes: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let sectors = content.len() / SECTOR;
    let mut files = Vec::new();
    let mut what = format!("MBR disk {:08x} of {} bytes", dword(440)?, content.len());
    for number in 1..=4 {
        let entry = 446 + 16 * (number - 1);
        let (kind, first, count) = (head.get(entry + 4)?, dword(entry + 8)?, dword(entry + 12)?);
        if *kind == 0 {
            continue;
        }
        let (first, count) = (u64::from(first), u64::from(count));
        if first + count > sectors || head.get(entry)? & 0x7f != 0 {
            return None;
        }
        what.push_str(&format!(
            "; partition {number} of type {kind:02x} at sector {first}, {count} sectors"
        ));
        files.push((number.to_string(), part(content, first, count)));
    }
    (!files.is_empty()).then_some(Inside {
        what,
        files,
        look: Look::All,
    })
}
