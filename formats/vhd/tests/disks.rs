//! Images of random disks, compared with the disks by qemu-img.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use extents::{Extents, emit};
use proptest::prelude::*;
use testing::disk::{check, disks, qemu_img};
use vhd_image::{Kind, Options, Uuid, plan};

const LARGE: u64 = 1 << 40;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_reads_the_disk(disk in disks()) {
        for kind in [Kind::Dynamic, Kind::Fixed] {
            let mut options = Options::default();
            options.kind = kind;
            options.uuid = Uuid::from_u128(7);
            options.time = 1_700_000_000;
            let image = || plan(&disk, &options).unwrap();
            check("vpc", &disk, &image(), &image());
        }
    }
}

#[test]
fn large_sparse_disk_yields_a_small_image() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    disk.put_bytes(0, [1; 512]);
    let image = plan(&disk, &Options::default()).unwrap();
    let len: u64 = image.extents().iter().map(|extent| extent.data().len()).sum();
    assert!(len < 40 << 20, "{len}");
    let dir = tempfile::tempdir().unwrap();
    let image_path = dir.path().join("image");
    emit::to_path(&image, &image_path).unwrap();
    let info = qemu_img(&["info", "-f", "vpc"], &image_path);
    assert!(info.contains(&format!("({LARGE} bytes)")), "{info}");
    disk.set_len(u64::MAX >> 2);
    assert!(plan(&disk, &Options::default()).is_err());
}
