//! Images of random disks, compared with the disks by qemu-img.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use extents::{Extents, emit};
use proptest::prelude::*;
use testing::disk::{check, disks, qemu_img};
use vmdk_image::{Error, Kind, Options, plan};

const LARGE: u64 = 900 << 30;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_reads_the_disk(disk in disks()) {
        let image = |jobs| plan(&disk, &options(Kind::Sparse, jobs)).unwrap();
        check("vmdk", &disk, &image(1), &image(2));
    }
}

#[test]
fn large_sparse_disk_yields_a_small_image() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    disk.put_bytes(0, [1; 512]);
    let image = plan(&disk, &options(Kind::Sparse, 1)).unwrap();
    let len: u64 = image.extents().iter().map(|extent| extent.data().len()).sum();
    assert!(len < 300 << 20, "{len}");
    let dir = tempfile::tempdir().unwrap();
    let image_path = dir.path().join("image");
    emit::to_path(&image, &image_path).unwrap();
    qemu_img(&["check", "-f", "vmdk"], &image_path);
    let info = qemu_img(&["info", "-f", "vmdk"], &image_path);
    assert!(info.contains(&format!("({LARGE} bytes)")), "{info}");
    disk.set_len(u64::MAX >> 2);
    assert!(plan(&disk, &options(Kind::Sparse, 1)).is_err());
}

fn options(kind: Kind, jobs: usize) -> Options {
    let mut options = Options::default();
    options.kind = kind;
    options.content_id = 7;
    options.jobs = jobs;
    options
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn qemu_reads_the_compressed_disk(disk in disks(), noise in any::<bool>()) {
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
        let image = |jobs| plan(&disk, &options(Kind::Stream, jobs)).unwrap();
        check("vmdk", &disk, &image(3), &image(1));
    }
}

#[test]
fn large_sparse_disk_is_compressed() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    disk.put_bytes(0, vec![1; 40 << 20]);
    disk.put_bytes(100 << 20, vec![0; 10 << 20]);
    let image = plan(&disk, &options(Kind::Stream, 2)).unwrap();
    assert!(image.len() < 1 << 20, "{}", image.len());
    let dir = tempfile::tempdir().unwrap();
    let image_path = dir.path().join("image");
    emit::to_path(&image, &image_path).unwrap();
    qemu_img(&["check", "-f", "vmdk"], &image_path);
    let info = qemu_img(&["info", "-f", "vmdk"], &image_path);
    for line in [
        format!("({LARGE} bytes)"),
        "create type: streamOptimized".into(),
        "compressed: true".into(),
    ] {
        assert!(info.contains(&line), "{line}\n{info}");
    }
    disk.set_len(u64::MAX >> 2);
    assert!(plan(&disk, &options(Kind::Stream, 2)).is_err());
    let mut nowhere = options(Kind::Stream, 2);
    nowhere.temp_dir = "/nonexistent".into();
    let error = plan(&Extents::from_bytes([1; 512]), &nowhere).unwrap_err();
    assert!(matches!(error, Error::Spill { .. }), "{error}");
}
