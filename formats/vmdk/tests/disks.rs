//! Random disks, compared by qemu-img with what they were made of.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use extents::{Extents, emit};
use proptest::prelude::*;
use testing::disk::{check, disks, qemu_img};

const LARGE: u64 = 900 << 30;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_sees_the_same_disk(disk in disks()) {
        check("vmdk", &disk, &vmdk_image::plan(&disk, 7, "disk.vmdk").unwrap(), &vmdk_image::plan(&disk, 7, "disk.vmdk").unwrap());
    }
}

#[test]
fn a_large_disk_takes_no_room() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    disk.put_bytes(0, [1; 512]);
    let image = vmdk_image::plan(&disk, 7, "disk.vmdk").unwrap();
    let room: u64 = image.extents().iter().map(|extent| extent.data().len()).sum();
    assert!(room < 300 << 20, "{room}");
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    emit::to_path(&image, &made).unwrap();
    qemu_img(&["check", "-f", "vmdk"], &made);
    let info = qemu_img(&["info", "-f", "vmdk"], &made);
    assert!(info.contains(&format!("({LARGE} bytes)")), "{info}");
    disk.set_len(u64::MAX >> 2);
    assert!(vmdk_image::plan(&disk, 7, "disk.vmdk").is_err());
}

fn options(jobs: usize) -> vmdk_image::Options {
    vmdk_image::Options {
        id: 7,
        name: "disk.vmdk".to_owned(),
        jobs,
        folder: std::env::temp_dir(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn qemu_sees_the_same_disk_in_a_compressed_one(disk in disks(), noise in any::<bool>()) {
        let mut disk = disk;
        if noise {
            let mut state = 1u32;
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .take(disk.len().min(200_000) as usize)
            .collect();
            disk.put_bytes(0, bytes);
        }
        let image = |jobs| vmdk_image::stream_optimized(&disk, &options(jobs)).unwrap();
        check("vmdk", &disk, &image(3), &image(1));
    }
}

#[test]
fn a_compressed_image_of_a_large_disk() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    disk.put_bytes(0, vec![1; 40 << 20]);
    disk.put_bytes(100 << 20, vec![0; 10 << 20]);
    let image = vmdk_image::stream_optimized(&disk, &options(2)).unwrap();
    assert!(image.len() < 1 << 20, "{}", image.len());
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    emit::to_path(&image, &made).unwrap();
    qemu_img(&["check", "-f", "vmdk"], &made);
    let info = qemu_img(&["info", "-f", "vmdk"], &made);
    for line in [
        format!("({LARGE} bytes)"),
        "create type: streamOptimized".into(),
        "compressed: true".into(),
    ] {
        assert!(info.contains(&line), "{line}\n{info}");
    }
    disk.set_len(u64::MAX >> 2);
    assert!(vmdk_image::stream_optimized(&disk, &options(2)).is_err());
    let nowhere = vmdk_image::Options {
        folder: "/nonexistent".into(),
        ..options(2)
    };
    let error = vmdk_image::stream_optimized(&Extents::from_bytes([1; 512]), &nowhere).unwrap_err();
    assert!(matches!(error, vmdk_image::Error::Spill { .. }), "{error}");
}
