//! The section `disk:` of the YAML.

use std::fs;

use crate::common::images;
use crate::common::layout::Layout;
use crate::common::site::{Site, good, refused};

/// The machine of the golden outputs, with a section `disk:`.
fn site(disk: &str) -> Site {
    let site = Site::new();
    images::write(&mut Layout::new(&site.path("layout")));
    let read = |name: &str| fs::read_to_string(images::directory().join(name)).unwrap();
    let boot =
        "boot: {bios: 'example.org/syslinux:1', efi: 'example.org/systemd-boot:1'}\ninit: ['example.org/init:1']\n";
    site.write("m.yml", &(read("kernel-modules.yml") + boot + disk));
    site
}

fn build(site: &Site, arguments: &[&str]) -> std::process::Output {
    let common = [
        "build",
        "--rebuild",
        "--layout",
        "layout",
        "--arch",
        "amd64",
        "--no-sbom",
    ];
    site.moby(&[&common, arguments, &["m.yml"]].concat())
}

/// A partition of a raw disk with a GPT: type, identifier, first byte, bytes, label (UEFI 2.10, 5.3.3).
fn partition(disk: &[u8], number: usize) -> (String, String, usize, usize, String) {
    let entry = &disk[1024 + 128 * (number - 1)..][..128];
    let guid = |at: usize| {
        let hex = |range: std::ops::Range<usize>, swap: bool| {
            let mut bytes = entry[at..][range].to_vec();
            if swap {
                bytes.reverse();
            }
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let parts = [
            (0..4, true),
            (4..6, true),
            (6..8, true),
            (8..10, false),
            (10..16, false),
        ];
        parts.map(|(range, swap)| hex(range, swap)).join("-")
    };
    let number = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap()) as usize;
    let (first, last) = (number(32), number(40));
    let label = entry[56..].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let label: Vec<u16> = label.take_while(|unit| *unit != 0).collect();
    (
        guid(0),
        guid(16),
        first * 512,
        (last + 1 - first) * 512,
        String::from_utf16(&label).unwrap(),
    )
}

#[test]
fn partitions_are_added_and_changed() {
    let site = site(
        "disk:
  partitions:
    - {label: boot, type: 0fc63daf-8483-4772-8e79-3d69d8477de4}
    - {label: swap, type: swap, size: 8M}
    - label: data
      filesystem: ext4
      size: 16M
      grow: true
      files: [{path: a/greeting, contents: 'from the build', mode: '0644'}]
    - {label: CONFIG, filesystem: fat, size: 4, files: [{path: conf, contents: key}]}
",
    );
    good(build(&site, &["-f", "raw,qcow2-efi", "--size", "128M"]));
    let disk = fs::read(site.path("m.img")).unwrap();
    assert_eq!(disk.len(), 128 << 20);
    let all: Vec<_> = (1..=4).map(|number| partition(&disk, number)).collect();
    let labels: Vec<&str> = all.iter().map(|partition| partition.4.as_str()).collect();
    assert_eq!(labels, ["boot", "swap", "data", "CONFIG"]);
    assert_eq!(all[0].0, "0fc63daf-8483-4772-8e79-3d69d8477de4");
    assert_eq!(all[1].0, "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
    assert_eq!((all[1].3, all[3].3), (8 << 20, 4 << 20));
    // No other partition grows, and the identifiers differ.
    assert!(all[2].3 > 40 << 20, "{all:?}");
    let mut ids: Vec<&String> = all.iter().map(|partition| &partition.1).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    // ext4: magic and label at their places in the superblock, the length that of the partition.
    let ext4 = &disk[all[2].2..][..all[2].3];
    assert_eq!(ext4[1080..1082], [0x53, 0xef]);
    assert!(ext4[1024 + 0x78..].starts_with(b"data\0"));
    let blocks = u32::from_le_bytes(ext4[1028..1032].try_into().unwrap()) as usize;
    assert_eq!(blocks * 4096 / (1 << 20), all[2].3 / (1 << 20));
    assert!(ext4.windows(14).any(|bytes| bytes == b"from the build"));
    // FAT: the sectors before it are those of the disk.
    let fat = &disk[all[3].2..][..512];
    assert_eq!(fat[510..], [0x55, 0xaa]);
    assert_eq!(
        u32::from_le_bytes(fat[28..32].try_into().unwrap()) as usize * 512,
        all[3].2
    );
}

#[test]
fn an_mbr_has_bytes_for_types() {
    let site = site("disk:\n  partitions:\n    - {label: other, type: '0xda', size: 1M}\n");
    good(build(&site, &["-f", "raw-bios"]));
    let disk = fs::read(site.path("m-bios.img")).unwrap();
    assert_eq!(disk[446 + 16 + 4], 0xda);
    let refused = refused(build(&site, &["-f", "raw-efi,raw"]), 1);
    assert!(refused.contains("cannot have the partition type 0xda"), "{refused}");
    assert!(
        refused.contains("m.yml:") && refused.contains("type: '0xda'"),
        "{refused}"
    );
}

#[test]
fn mistakes_have_their_lines() {
    for (yaml, line, expected) in [
        ("- {label: data, size: 1X}", "size: 1X", "invalid size"),
        ("- {label: data}", "label: data", "needs a size"),
        (
            "- {label: data, filesystem: ext5, size: 1M}",
            "filesystem: ext5",
            "must be one of",
        ),
        (
            "- {label: data, type: linux, size: 1M}",
            "type: linux",
            "unknown partition type",
        ),
        ("- {label: a b, size: 1M}", "label: a b", "invalid partition label"),
        (
            "- {label: twelve-chars, filesystem: fat, size: 1M}",
            "twelve-chars",
            "1 to 11 ASCII",
        ),
        (
            "- {label: data, volume: nope, filesystem: ext4}",
            "volume: nope",
            "volume nope not found",
        ),
        (
            "- {label: root, filesystem: ext4}",
            "root",
            "is created by the output format",
        ),
        (
            "- {label: a, size: 1M}\n    - {label: a, size: 1M}",
            "label: a",
            "duplicate partition label: a",
        ),
        (
            "- {label: a, grow: true}\n    - {label: b, grow: true}",
            "label: b",
            "only one partition",
        ),
        (
            "- {label: a, filesystem: ext4, files: [{path: x, contents: y, mode: '8'}]}",
            "mode: '8'",
            "octal digits up to",
        ),
        (
            "- {label: a, filesystem: ext4, files: [{path: x}]}",
            "path: x",
            "x has no contents",
        ),
    ] {
        let site = Site::new();
        site.write("bad.yml", &format!("disk:\n  partitions:\n    {yaml}\n"));
        let message = refused(site.moby(&["check", "bad.yml"]), 2);
        assert!(
            message.contains("bad.yml:") && message.contains(line),
            "{yaml}: {message}"
        );
        assert!(message.contains(expected), "{yaml}: {message}");
    }
}

#[test]
fn what_needs_no_layer_fails_together() {
    let site = site("files:\n  - {path: a, source: not-there}\n");
    fs::create_dir_all(site.path("out/m-hybrid.iso")).unwrap();
    // A layer that cannot be read shows that none is.
    let blobs = fs::read_dir(site.path("layout/blobs/sha256")).unwrap();
    for blob in blobs.map(|entry| entry.unwrap().path()) {
        if !fs::read(&blob).unwrap().starts_with(b"{") {
            fs::write(&blob, "").unwrap();
        }
    }
    let message = refused(build(&site, &["-f", "iso,raw", "--dir", "out", "--size", "1M"]), 1);
    for expected in ["not-there", "m-hybrid.iso: it is a directory", "too small for raw"] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    assert_eq!(message.matches("error: ").count(), 3, "{message}");
}
