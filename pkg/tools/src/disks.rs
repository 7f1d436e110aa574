//! Disks and their partitions, from sysfs and blkid(8).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::{Error, programs};

/// Prefixes of block devices that are not disks of the machine.
const OTHERS: [&str; 8] = ["dm-", "fd", "loop", "md", "nbd", "ram", "sr", "zram"];
/// Time between two looks for a device, and number of looks.
const LOOK: (Duration, u32) = (Duration::from_millis(100), 100);
/// Linux's partition types: in a master boot record, and in a GPT.
const LINUX: [&str; 2] = ["0x83", "0fc63daf-8483-4772-8e79-3d69d8477de4"];

/// Unit of lengths and positions in sysfs, in bytes (Documentation/ABI/stable/sysfs-block).
pub const SECTOR: u64 = 512;

/// Returns the paths of the writable disks, sorted.
pub fn all() -> Vec<String> {
    let is_disk = |name: &String| {
        let number = |file: &str| number(&format!("/sys/block/{name}/{file}"));
        !OTHERS.iter().any(|other| name.starts_with(other)) && number("ro") == Some(0) && number("size") != Some(0)
    };
    let disks = names("/sys/block").into_iter().filter(is_disk);
    disks.map(|name| format!("/dev/{name}")).collect()
}

/// Partition as the kernel knows it.
#[derive(Debug)]
pub struct Partition {
    /// Path of the device.
    pub device: String,
    /// Start on the disk in bytes.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Returns the partitions of a disk, sorted by number.
pub fn partitions(disk: &str) -> Vec<Partition> {
    let directory = format!("/sys/block/{}", name_of(disk));
    let mut found: Vec<(u64, Partition)> = Vec::new();
    for name in names(&directory) {
        let Some(index) = number(&format!("{directory}/{name}/partition")) else {
            continue;
        };
        let bytes = |file: &str| number(&format!("{directory}/{name}/{file}")).unwrap_or_default();
        let partition = Partition {
            device: format!("/dev/{name}"),
            start: bytes("start").saturating_mul(SECTOR),
            len: bytes("size").saturating_mul(SECTOR),
        };
        found.push((index, partition));
    }
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, partition)| partition).collect()
}

/// Returns the length of a disk in bytes.
pub fn len(disk: &str) -> u64 {
    let sectors = number(&format!("/sys/block/{}/size", name_of(disk)));
    sectors.unwrap_or_default().saturating_mul(SECTOR)
}

/// Identifies the content of a device, by blkid's fields (TYPE, LABEL, UUID, PTTYPE,
/// PART_ENTRY_TYPE...). An empty device has none.
///
/// # Errors
/// blkid cannot be run, or finds an ambiguous result such as the signatures of two filesystems.
pub fn probe(device: &str) -> Result<BTreeMap<String, String>, Error> {
    let output = programs::output("blkid", &["-p", "-o", "export", device], "")?;
    match output.status.code() {
        Some(0) => Ok(pairs(&String::from_utf8_lossy(&output.stdout))),
        // Nothing found (blkid(8), exit status).
        Some(2) => Ok(BTreeMap::new()),
        _ => Err(Error::Ambiguous {
            device: device.to_owned(),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// Returns whether a probed partition has one of Linux's types.
pub fn is_linux(probed: &BTreeMap<String, String>) -> bool {
    let kind = probed.get("PART_ENTRY_TYPE").map(String::as_str).unwrap_or_default();
    LINUX.contains(&kind.to_lowercase().as_str())
}

/// Waits for a device.
///
/// # Errors
/// The device does not appear within 10 s.
pub fn wait(device: &str) -> Result<(), Error> {
    for _ in 0..LOOK.1 {
        if is_block(device) {
            return Ok(());
        }
        std::thread::sleep(LOOK.0);
    }
    Err(Error::Disk(format!("{device} does not appear")))
}

/// Returns the device of a disk's first partition. A `p` separates the number from a digit.
pub fn first_partition(disk: &str) -> String {
    let separator = if disk.ends_with(|last: char| last.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{disk}{separator}1")
}

/// Returns whether a path is a block device.
pub fn is_block(path: &str) -> bool {
    // Every block device has a directory in sysfs; a link in /dev leads to its name.
    let real = std::fs::canonicalize(path).unwrap_or_default();
    let name = real.file_name().unwrap_or_default();
    real.exists() && Path::new("/sys/class/block").join(name).exists()
}

fn name_of(device: &str) -> String {
    let real = std::fs::canonicalize(device).unwrap_or_else(|_| device.into());
    real.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn names(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Parses "KEY=VALUE" lines, in which blkid puts a backslash before blanks.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.replace('\\', "")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_disks_with_numbers_have_a_p() {
        assert_eq!(first_partition("/dev/vda"), "/dev/vda1");
        assert_eq!(first_partition("/dev/nvme0n1"), "/dev/nvme0n1p1");
    }

    #[test]
    fn types_are_linux_or_not() {
        let of = |text: &str| is_linux(&pairs(text));
        assert!(of("DEVNAME=/dev/vda1\nPART_ENTRY_TYPE=0x83\n"));
        assert!(of(
            "PART_ENTRY_TYPE=0FC63DAF-8483-4772-8E79-3D69D8477DE4\nLABEL=a\\ b\n"
        ));
        assert!(!of("PART_ENTRY_TYPE=0xef\n"));
        assert!(!of(""));
    }
}
