//! Disks and their partitions, by sysfs and blkid(8).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::programs;

/// Names of block devices that are no disks of the machine's own.
const OTHERS: [&str; 8] = ["dm-", "fd", "loop", "md", "nbd", "ram", "sr", "zram"];
/// How often, and how many times, to look for a device.
const LOOK: (Duration, u32) = (Duration::from_millis(100), 100);
/// Partition types of Linux: in a master boot record, and in a GPT.
const LINUX: [&str; 2] = ["0x83", "0fc63daf-8483-4772-8e79-3d69d8477de4"];

/// Lengths and places in sysfs are in units of 512 bytes (Documentation/ABI/stable/sysfs-block).
pub const SECTOR: u64 = 512;

/// The disks that can be written to, as paths, by name.
pub fn all() -> Vec<String> {
    let is_disk = |name: &String| {
        let number = |file: &str| number(&format!("/sys/block/{name}/{file}"));
        !OTHERS.iter().any(|other| name.starts_with(other)) && number("ro") == Some(0) && number("size") != Some(0)
    };
    let disks = names("/sys/block").into_iter().filter(is_disk);
    disks.map(|name| format!("/dev/{name}")).collect()
}

/// A partition as the kernel sees it.
#[derive(Debug)]
pub struct Partition {
    /// Its device.
    pub device: String,
    /// Its first byte on the disk.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// The partitions of a disk, by their numbers.
pub fn partitions(disk: &str) -> Vec<Partition> {
    let folder = format!("/sys/block/{}", name_of(disk));
    let mut found: Vec<(u64, Partition)> = Vec::new();
    for name in names(&folder) {
        let Some(index) = number(&format!("{folder}/{name}/partition")) else {
            continue;
        };
        let bytes = |file: &str| number(&format!("{folder}/{name}/{file}")).unwrap_or_default();
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

/// The length of a disk in bytes.
pub fn len(disk: &str) -> u64 {
    let sectors = number(&format!("/sys/block/{}/size", name_of(disk)));
    sectors.unwrap_or_default().saturating_mul(SECTOR)
}

/// What is on a device, by blkid's names (TYPE, LABEL, UUID, PTTYPE, PART_ENTRY_TYPE...): nothing
/// when it is empty.
///
/// # Errors
/// blkid cannot tell, for instance because there are signatures of two filesystems.
pub fn probe(device: &str) -> Result<BTreeMap<String, String>, String> {
    let output = programs::output("blkid", &["-p", "-o", "export", device], "")?;
    match output.status.code() {
        Some(0) => Ok(pairs(&String::from_utf8_lossy(&output.stdout))),
        // Nothing found (blkid(8), exit status).
        Some(2) => Ok(BTreeMap::new()),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("blkid does not know what is on {device}: {}", said.trim()))
        }
    }
}

/// Whether a probed partition has Linux's type.
pub fn is_linux(probed: &BTreeMap<String, String>) -> bool {
    let kind = probed.get("PART_ENTRY_TYPE").map(String::as_str).unwrap_or_default();
    LINUX.contains(&kind.to_lowercase().as_str())
}

/// Waits until a device is there.
///
/// # Errors
/// It does not come.
pub fn wait(device: &str) -> Result<(), String> {
    for _ in 0..LOOK.1 {
        if is_block(device) {
            return Ok(());
        }
        std::thread::sleep(LOOK.0);
    }
    Err(format!("{device} does not appear"))
}

/// The device of a disk's first partition: a name that ends with a digit has a `p` before it.
pub fn first(disk: &str) -> String {
    let separator = if disk.ends_with(|last: char| last.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{disk}{separator}1")
}

/// Whether a path is a block device.
pub fn is_block(path: &str) -> bool {
    // Every block device is a folder of sysfs too; a link in /dev leads to its name.
    let real = std::fs::canonicalize(path).unwrap_or_default();
    let name = real.file_name().unwrap_or_default();
    real.exists() && Path::new("/sys/class/block").join(name).exists()
}

fn name_of(device: &str) -> String {
    let real = std::fs::canonicalize(device).unwrap_or_else(|_| device.into());
    real.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// "KEY=VALUE" lines, in which blkid puts a backslash before blanks.
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
        assert_eq!(first("/dev/vda"), "/dev/vda1");
        assert_eq!(first("/dev/nvme0n1"), "/dev/nvme0n1p1");
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
