//! Machines for arm64, built on whatever the host is and booted in QEMU.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use common::{boots, build, moby};

/// What a container prints when the machine is up.
const MARKER: &str = "hello from a container";

/// `examples/minimal.yml` in the formats that arm64 has of its own; built once.
fn machines() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let formats = "kernel+initrd,uki,raw,raw-efi,iso,iso-efi-initrd,qcow2-efi";
        let arguments = ["--arch", "arm64", "--compress", "lz4", "-f", formats];
        build("minimal.yml", &arguments, folder.path());
        folder
    };
    MADE.get_or_init(make).path()
}

#[test]
fn kernels_disks_and_cds_boot() {
    let left = Mutex::new(vec![
        ("minimal", vec![]),
        ("minimal-efi.img", vec![]),
        ("minimal-hybrid.iso", vec![]),
        ("minimal-hybrid.iso", vec!["--stick"]),
        ("minimal-efi.qcow2", vec![]),
    ]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((name, flags)) = next else { return };
                    let arguments = [&["--arch", "arm64"], &flags[..]].concat();
                    boots(&machines().join(name), &arguments, MARKER);
                }
            });
        }
    });
}

#[test]
fn media_for_both_firmwares_are_for_uefi_alone() {
    let read = |name: &str| fs::read(machines().join(name)).unwrap();
    assert!(read("minimal.img") == read("minimal-efi.img"));
    assert!(read("minimal-hybrid.iso") == read("minimal-efi-initrd.iso"));
    let out = moby()
        .arg("inspect")
        .arg(machines().join("minimal.img"))
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(
        said.contains("BOOTAA64.EFI") && !said.contains("syslinux") && said.contains("Linux kernel 6."),
        "{said}"
    );
}

#[test]
fn formats_for_a_bios_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal.yml");
    for format in ["iso-bios", "raw-bios", "qcow2-bios", "vhd", "dynamic-vhd", "vmdk"] {
        let out = moby()
            .args(["build", "--arch", "arm64", "-f", format, "--dir"])
            .arg(folder.path())
            .arg(&yaml)
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(2));
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(said.contains("is not for arm64") && said.contains("raw-efi"), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
