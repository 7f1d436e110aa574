//! Block devices and their filesystems: as much of blkid(8) as moby's images need.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// Directory in which the kernel lists block devices, partitions among them.
const BLOCK: &str = "/sys/class/block";

/// Returns the names of all block devices, sorted.
pub fn all() -> Vec<String> {
    let entries = fs::read_dir(BLOCK).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Finds the device that `root=` names: by a path, or by `PARTUUID=`, `UUID=`, `LABEL=` or `SQUASHFS=`.
pub fn find(root: &str) -> Option<String> {
    let (tag, value) = match root.split_once('=') {
        Some((tag, value)) => (tag, value.to_ascii_lowercase()),
        None => return fs::metadata(root).is_ok().then(|| root.to_owned()),
    };
    let matches = |name: &String| {
        let found = match tag {
            "PARTUUID" => partuuid(name),
            "UUID" => Filesystem::probe(name).and_then(|found| found.uuid),
            "LABEL" => Filesystem::probe(name).and_then(|found| found.label),
            "SQUASHFS" => squashfs(name),
            _ => None,
        };
        found.is_some_and(|found| found.to_ascii_lowercase() == value)
    };
    let name = all().into_iter().find(matches)?;
    Some(format!("/dev/{name}"))
}

fn read<const N: usize>(name: &str, offset: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let device = File::open(format!("/dev/{name}")).ok()?;
    device.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn number(name: &str, attribute: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("{BLOCK}/{name}/{attribute}")).ok()?;
    text.trim().parse().ok()
}

/// Returns the identifier of a partition: its GUID in a GPT (UEFI 2.10, 5.3), or the disk's signature
/// and the partition's number in a master boot record.
fn partuuid(name: &str) -> Option<String> {
    let partition = u32::try_from(number(name, "partition")?).ok()?;
    // The directory of a partition is in that of its disk.
    let link = fs::read_link(format!("{BLOCK}/{name}")).ok()?;
    let disk = link.parent()?.file_name()?.to_string_lossy().into_owned();
    let sector = number(&disk, "queue/logical_block_size")?;
    let header: [u8; 92] = read(&disk, sector)?;
    if !header.starts_with(b"EFI PART") {
        let signature: [u8; 4] = read(&disk, 440)?;
        return Some(format!("{:08x}-{partition:02x}", u32::from_le_bytes(signature)));
    }
    let entries = little(&header, 72, 8)?;
    let size = little(&header, 84, 4)?;
    let at = entries
        .checked_mul(sector)?
        .checked_add(size.checked_mul(u64::from(partition.checked_sub(1)?))?)?;
    let entry: [u8; 32] = read(&disk, at)?;
    let (_, guid) = entry.split_at(16);
    // The first three fields of a GUID are little endian (UEFI 2.10, appendix A).
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let bytes: Vec<u8> = order.iter().filter_map(|at| guid.get(*at).copied()).collect();
    Some(uuid(&bytes))
}

/// Reads a little-endian number of `len` bytes.
fn little(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Formats a UUID with its dashes.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Identifiers in a filesystem's superblock.
struct Filesystem {
    uuid: Option<String>,
    label: Option<String>,
}

impl Filesystem {
    fn probe(name: &str) -> Option<Filesystem> {
        let text = |bytes: &[u8]| {
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            Some(String::from_utf8_lossy(text).trim_end().to_owned()).filter(|text| !text.is_empty())
        };
        // ext4, The Super Block; EROFS, its superblock: both at byte 1024.
        if let Some(block) = read::<256>(name, 1024) {
            if block.get(56..58) == Some(&[0x53, 0xef]) {
                return Some(Filesystem {
                    uuid: block.get(104..120).map(uuid),
                    label: block.get(120..136).and_then(text),
                });
            }
            if block.starts_with(&0xe0f5_e1e2u32.to_le_bytes()) {
                return Some(Filesystem {
                    uuid: block.get(48..64).map(uuid),
                    label: block.get(64..80).and_then(text),
                });
            }
        }
        // ECMA-119, 8.4: the volume identifier of a primary volume descriptor, in sector 16.
        let block: [u8; 72] = read(name, 16 * 2048)?;
        block.starts_with(b"\x01CD001").then(|| Filesystem {
            uuid: None,
            label: block.get(40..72).and_then(text),
        })
    }
}

/// Returns the first half of a squashfs's superblock in hexadecimal digits. A squashfs has no other
/// identifier, and these bytes hold its number of inodes, its length and the positions of its tables
/// (Squashfs 4.0, The Superblock).
fn squashfs(name: &str) -> Option<String> {
    let block: [u8; 48] = read(name, 0)?;
    let hex = || block.iter().map(|byte| format!("{byte:02x}")).collect();
    block.starts_with(b"hsqs").then(hex)
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn uuids_have_their_dashes() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(uuid(&bytes), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
