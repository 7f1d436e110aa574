//! Every format booted by every firmware that the table names for it.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use extents::{Extents, FileBlob, emit};
use testing::program::checked;

use super::{MARKER, bootable, built, formats, rootfs};
use crate::common::boot::ways;
use crate::common::boots;
use crate::common::formats::{named, with_rootfs};

/// Boots of the builds with `--root`.
const BOOTED_ROOTS: [(&str, &[&str]); 5] = [
    ("squashfs/hello.img", &[]),
    ("squashfs/hello-hybrid.iso", &["--uefi"]),
    ("squashfs/hello-hybrid.iso", &["--usb"]),
    ("ext4/hello-efi.img", &["--uefi"]),
    ("erofs/hello.qcow2", &[]),
];

/// A file, and how `moby run` starts it.
type Boot = (PathBuf, Vec<&'static str>);

/// Every format on every firmware that the table names for it. Disk image formats hold the same disk,
/// as qemu-img says in another test, so that the second part has their boots on the second firmware.
fn matrix() -> (Vec<Boot>, Vec<Boot>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (number, format) in formats().enumerate() {
        let file = bootable(format);
        // One boot is enough for the same bits.
        if ["aws", "digitalocean", "hetzner"].contains(&format.name) {
            let same = fs::read(&file).unwrap() == fs::read(bootable(named("raw"))).unwrap();
            assert!(same, "{}", format.name);
            continue;
        }
        let later = format.is_wrapped() && format.bios && format.efi;
        for flags in ways(format) {
            let efi = flags.contains(&"--uefi");
            let part = if later && efi == (number % 2 == 0) {
                &mut second
            } else {
                &mut first
            };
            part.push((file.clone(), flags));
        }
    }
    first.extend(with_rootfs().map(|format| (rootfs(format), vec![])));
    first.extend(BOOTED_ROOTS.map(|(file, arguments)| (built().join(file), arguments.to_vec())));
    (first, second)
}

/// Boots two machines at a time, down to the marker.
fn boot_all(matrix: Vec<Boot>) {
    let left = Mutex::new(matrix);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((file, arguments)) = next else { return };
                    boots(&file, &arguments, MARKER);
                }
            });
        }
    });
}

#[test]
fn every_format_boots_on_the_firmware_of_the_table() {
    let (first, second) = matrix();
    assert!(first.len() >= 35 && second.len() >= 6);
    boot_all(first);
}

#[test]
#[ignore = "the disk of these is booted on that firmware already: `cargo xtask test --all`"]
fn every_disk_image_format_boots_on_its_other_firmware() {
    boot_all(matrix().1);
}

/// No format has one, but the crate makes them: the partition of `raw` behind a table of each kind.
#[test]
fn a_hybrid_master_boot_record_boots() {
    /// The sectors of a GPT behind the last partition (UEFI 2.10, 5.3.1).
    const TAIL: u64 = 33;
    let raw = Arc::new(FileBlob::open(&bootable(named("raw"))).unwrap());
    let raw = Extents::from_blob(raw);
    let content = raw.part(disk::ALIGNMENT, raw.len() - disk::ALIGNMENT - TAIL * disk::SECTOR);
    let mut boot = disk::Partition::new(disk::PartitionType::Esp, content);
    boot.label = "boot".into();
    boot.guid = disk::Uuid::from_u128(1);
    boot.bootable = true;
    let mut layout = disk::DiskLayout::new(disk::Table::Hybrid {
        guid: disk::Uuid::from_u128(2),
        signature: 3,
    });
    layout.boot_code = fs::read("/usr/lib/syslinux/mbr/mbr.bin").unwrap();
    layout.partitions.push(boot);
    let hybrid = disk::plan(&layout, None, disk::SECTOR).unwrap();
    let path = built().join("hybrid.img");
    emit::to_path(&hybrid, &path).unwrap();
    let said = checked("sgdisk", &["-v"], &path);
    assert!(said.contains("No problems found"), "{said}");
    boots(&path, &[], MARKER);
    boots(&path, &["--uefi"], MARKER);
}
