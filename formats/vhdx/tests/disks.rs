//! Random disks, compared by qemu-img with what they were made of.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use extents::{Extents, emit};
use proptest::prelude::*;

const LARGE: u64 = 63 << 40;
const UUID: u128 = 0x0123_4567_89ab_cdef_8123_4567_89ab_cdef;

fn qemu_img(arguments: &[&str], files: &[&Path]) -> String {
    let out = Command::new("qemu-img")
        .args(arguments)
        .args(files)
        .output()
        .expect("qemu-utils");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(out.status.success(), "{text}");
    text
}

/// A disk of whole sectors with something here and there.
fn disks() -> impl Strategy<Value = Extents> {
    let pieces = prop::collection::vec((0u64..80 << 20, 1usize..300_000, any::<u8>()), 0..12);
    (pieces, 1u64..200_000).prop_map(|(pieces, sectors)| {
        let len = sectors * 512;
        let mut disk = Extents::zeros(len);
        for (at, bytes, value) in pieces {
            disk.put_bytes(at % len, vec![value; bytes]);
        }
        disk.set_len(len);
        disk
    })
}

fn check(disk: &Extents, image: &Extents, again: &Extents) {
    let dir = tempfile::tempdir().unwrap();
    let (raw, made, twice) = (
        dir.path().join("raw"),
        dir.path().join("made"),
        dir.path().join("twice"),
    );
    for (content, path) in [(disk, &raw), (image, &made), (again, &twice)] {
        emit::to_path(content, path, 1).unwrap();
    }
    qemu_img(&["check", "-f", "vhdx"], &[&made]);
    let said = qemu_img(&["compare", "-f", "raw", "-F", "vhdx"], &[&raw, &made]);
    assert!(said.contains("Images are identical"), "{said}");
    assert!(std::fs::read(&made).unwrap() == std::fs::read(&twice).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_sees_the_same_disk(disk in disks()) {
        check(&disk, &vhdx::plan(&disk, UUID).unwrap(), &vhdx::plan(&disk, UUID).unwrap());
    }
}

#[test]
fn a_large_disk_takes_no_room() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    // On both sides of the entry of a bitmap.
    disk.put_bytes((4 << 30) - 512, [1; 1024]);
    disk.put_bytes(0, [1; 512]);
    let image = vhdx::plan(&disk, UUID).unwrap();
    let room: u64 = image.extents().iter().map(|extent| extent.data().len()).sum();
    assert!(room < 1 << 20, "{room}");
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    emit::to_path(&image, &made, 1).unwrap();
    qemu_img(&["check", "-f", "vhdx"], &[&made]);
    let info = qemu_img(&["info", "-f", "vhdx"], &[&made]);
    assert!(info.contains(&format!("({LARGE} bytes)")), "{info}");
    // The places around what is there, as qemu-img sees them.
    for (at, byte) in [
        (0, 1),
        (512, 0),
        ((4 << 30) - 512, 1),
        (4 << 30, 1),
        ((4 << 30) + 512, 0),
        (LARGE - 512, 1),
    ] {
        let read = format!("read -P {byte} {at} 512");
        let said = Command::new("qemu-io")
            .args(["-r", "-f", "vhdx", "-c", &read])
            .arg(&made)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(
            said.contains("read 512/512 bytes") && !said.contains("failed"),
            "{read}: {said}"
        );
    }
    disk.set_len(u64::MAX >> 2);
    assert!(vhdx::plan(&disk, UUID).is_err());
}
