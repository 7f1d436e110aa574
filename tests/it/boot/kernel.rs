//! The kernel of `kernel/vm`, which has everything built in, compiled and booted.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use crate::common::site::initrds;
use crate::common::{boots, build, moby};

/// A line that the container prints when the machine is up.
const MARKER: &str = "hello from a container";

#[test]
#[ignore = "compiles a kernel, which takes 10 to 40 minutes"]
fn every_root_filesystem_boots_without_an_initrd() {
    let directory = tempfile::tempdir().unwrap();
    let (plain, compressed, disk) = (
        directory.path(),
        directory.path().join("lz4"),
        directory.path().join("disk"),
    );
    build(
        "vm.yml",
        &["--format", "kernel+squashfs,kernel+erofs,kernel+iso,kernel+ext4"],
        plain,
    );
    build(
        "vm.yml",
        &["--compress", "lz4", "--format", "kernel+squashfs,kernel+erofs"],
        &compressed,
    );
    build("vm.yml", &["--root", "squashfs", "--format", "raw-efi,raw-bios"], &disk);
    build("vm.yml", &["--root", "squashfs", "--format", "iso"], &disk);
    for directory in [plain, &compressed, &disk] {
        assert_eq!(initrds(directory), [""; 0]);
    }
    for name in ["vm-squashfs.img", "vm-erofs.img", "vm.iso", "vm-ext4.img"] {
        boots(&plain.join(name), &[], MARKER);
    }
    for name in ["vm-squashfs.img", "vm-erofs.img"] {
        boots(&compressed.join(name), &[], MARKER);
    }
    // Nor is there one within the disks.
    for (name, arguments) in [("vm-efi.img", &["--uefi"][..]), ("vm-bios.img", &[])] {
        let listed = moby().arg("inspect").arg("--ls").arg(disk.join(name)).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(
            listed.to_lowercase().contains("kernel") || listed.contains("EFI/BOOT"),
            "{listed}"
        );
        assert!(!listed.contains("initrd"), "{listed}");
        boots(&disk.join(name), arguments, MARKER);
    }
    // An ISO image has one, without modules, which finds the ISO.
    boots(&disk.join("vm-hybrid.iso"), &[], MARKER);
}
