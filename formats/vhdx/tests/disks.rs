//! Random disks, compared by qemu-img with what they were made of.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use extents::{Extents, emit};
use proptest::prelude::*;
use testing::disk::{check, disks, qemu_img};

const LARGE: u64 = 63 << 40;
const UUID: u128 = 0x0123_4567_89ab_cdef_8123_4567_89ab_cdef;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_sees_the_same_disk(disk in disks()) {
        check("vhdx", &disk, &vhdx_image::plan(&disk, UUID).unwrap(), &vhdx_image::plan(&disk, UUID).unwrap());
    }
}

#[test]
fn a_large_disk_takes_no_room() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    // On both sides of the entry of a bitmap.
    disk.put_bytes((4 << 30) - 512, [1; 1024]);
    disk.put_bytes(0, [1; 512]);
    let image = vhdx_image::plan(&disk, UUID).unwrap();
    let room: u64 = image.extents().iter().map(|extent| extent.data().len()).sum();
    assert!(room < 1 << 20, "{room}");
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    emit::to_path(&image, &made).unwrap();
    qemu_img(&["check", "-f", "vhdx"], &made);
    let info = qemu_img(&["info", "-f", "vhdx"], &made);
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
    assert!(vhdx_image::plan(&disk, UUID).is_err());
}
