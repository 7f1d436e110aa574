//! Random disks, compared by qemu-img with what they were made of.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use extents::{Extents, emit};
use proptest::prelude::*;
use testing::disk::{check, disks, qemu_img};

const LARGE: u64 = 1 << 40;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_sees_the_same_disk(disk in disks()) {
        let options = vhd_image::Options { uuid: 7, time: 1_700_000_000 };
        check("vpc", &disk, &vhd_image::dynamic(&disk, &options).unwrap(), &vhd_image::dynamic(&disk, &options).unwrap());
        check("vpc", &disk, &vhd_image::fixed(&disk, &options).unwrap(), &vhd_image::fixed(&disk, &options).unwrap());
    }
}

#[test]
fn a_large_disk_takes_no_room() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    disk.put_bytes(0, [1; 512]);
    let image = vhd_image::dynamic(&disk, &vhd_image::Options::default()).unwrap();
    let room: u64 = image.extents().iter().map(|extent| extent.data().len()).sum();
    assert!(room < 40 << 20, "{room}");
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    emit::to_path(&image, &made).unwrap();
    let info = qemu_img(&["info", "-f", "vpc"], &made);
    assert!(info.contains(&format!("({LARGE} bytes)")), "{info}");
    disk.set_len(u64::MAX >> 2);
    assert!(vhd_image::dynamic(&disk, &vhd_image::Options::default()).is_err());
}
