//! `moby inspect` on all that `moby build` makes, and on what was damaged since.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{build, moby};
use moby::output::format::{FORMATS, Kind, Root};

fn inspect(file: &Path, arguments: &[&str]) -> Output {
    moby().arg("inspect").args(arguments).arg(file).output().unwrap()
}

fn good(file: &Path, arguments: &[&str]) -> Vec<u8> {
    let out = inspect(file, arguments);
    assert!(
        out.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&out.stderr)
    );
    out.stdout
}

#[test]
fn all_that_is_made_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let formats = FORMATS.iter().filter(|format| match format.kind {
        Kind::KernelInitrd | Kind::Iso(_) => true,
        // Archives are unpacked before they are disks; `vhd` has the name of `dynamic-vhd`.
        Kind::Disk(..) => format.is_disk() && format.name != "vhd",
        _ => false,
    });
    let names: Vec<&str> = formats.clone().map(|format| format.name).collect();
    build(
        "minimal.yml",
        &["--compress", "zstd:1", "--format", &names.join(",")],
        folder.path(),
    );
    let path = |suffix: &str| folder.path().join(format!("minimal{suffix}"));
    let config = "containers/onboot/000-hello/config.json";
    let original = good(&path("-initrd.img"), &["--cat", config]);
    assert!(original.starts_with(b"{"));
    for format in formats.filter(|format| format.firmware().is_some()) {
        let file = path(format.files[0]);
        let said = String::from_utf8(good(&file, &[])).unwrap();
        let firmware = format.firmware().unwrap();
        assert!(said.contains("Linux kernel 6."), "{said}");
        // Where the root is on the medium, the initrd only brings drivers, if there is one at all.
        let whole = format.root == Root::Initramfs;
        assert!(
            said.contains(if whole { "initrd (zstd)" } else { "initrd (" }),
            "{said}"
        );
        assert!(said.contains("container onboot/000-hello: [\"/hello\"]"), "{said}");
        assert!(said.contains("console=ttyS0 console=ttyAMA0 panic=5"), "{said}");
        assert_eq!(
            said.contains("linux.cfg: boot") || said.contains("LABEL linux"),
            firmware.bios,
            "{said}"
        );
        let listed = String::from_utf8(good(&file, &["--ls"])).unwrap();
        let within = listed.lines().find(|line| line.ends_with(config)).expect(&listed);
        let within = within.trim().split_once(' ').unwrap().1;
        assert!(good(&file, &["--cat", within]) == original, "{}: {within}", format.name);
        assert_eq!(listed.contains("EFI/BOOT/BOOTX64.EFI"), firmware.efi, "{listed}");
    }
    damaged(&path(".qcow2"));
    damaged(&path(".vmdk"));
    damaged(&path(".vdi"));
    damaged(&path(".vhd"));
    damaged(&path(".img"));
    damaged(&path("-efi.img"));
    damaged(&path("-initrd.img"));
}

/// Whatever is changed or cut off: an answer or an error, never a panic.
fn damaged(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let copy = file.with_extension("damaged");
    let check = |bytes: &[u8], how: &str| {
        fs::write(&copy, bytes).unwrap();
        let out = inspect(&copy, &[]);
        let said = String::from_utf8_lossy(&out.stderr);
        let ended = matches!(out.status.code(), Some(0 | 1)) && !said.contains("panicked");
        assert!(ended, "{} {how}: {:?} {said}", file.display(), out.status);
    };
    for len in [0, 1, 511, 512, 600, 40_000, bytes.len() / 2] {
        check(&bytes[..len.min(bytes.len())], &format!("cut to {len}"));
    }
    // Everywhere in the first sectors, where headers are, with the same numbers every time.
    let mut at = 7usize;
    for round in 0..6u32 {
        let mut changed = bytes.clone();
        for _ in 0..8 {
            at = at.wrapping_mul(1_103_515_245).wrapping_add(12_345) % 2048.min(changed.len());
            changed[at] = (round * 37) as u8 ^ 0xff;
        }
        check(&changed, &format!("changed in round {round}"));
    }
    fs::remove_file(&copy).unwrap();
}

#[test]
fn what_it_does_not_know_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "nothing").unwrap();
    let out = inspect(&file, &[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("nothing that moby knows"));
    let out = inspect(&folder.path().join("missing"), &[]);
    assert_eq!(out.status.code(), Some(2));
}
