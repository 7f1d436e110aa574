//! Images of random disks, compared with the disks by qemu-img.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use extents::{Extents, emit};
use proptest::prelude::*;
use qcow2_image::{Compressor, Error, Options, plan};
use testing::disk::{check, disks, qemu_img};

const LARGE: u64 = 8 << 40;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_reads_the_disk(disk in disks()) {
        let image = || plan(&disk, &Options::default()).unwrap();
        check("qcow2", &disk, &image(), &image());
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
    qemu_img(&["check", "-f", "qcow2"], &image_path);
    let info = qemu_img(&["info", "-f", "qcow2"], &image_path);
    assert!(info.contains(&format!("({LARGE} bytes)")), "{info}");
    disk.set_len(u64::MAX >> 2);
    assert!(plan(&disk, &Options::default()).is_err());
}

fn options(compressor: Compressor, jobs: usize) -> Options {
    let mut options = Options::default();
    options.compressor = Some(compressor);
    options.jobs = jobs;
    options
}

/// Incompressible bytes, and some that compress well.
fn mixture(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let mixed = noise.enumerate().map(|(at, byte)| match at / 200_000 % 3 {
        0 => byte,
        1 => byte & 3,
        _ => (at % 250) as u8,
    });
    mixed.take(len).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn qemu_reads_the_compressed_disk(disk in disks(), which in 0usize..4, mixed in any::<bool>()) {
        let mut disk = disk;
        if mixed {
            disk.put_bytes(0, mixture(disk.len().min(1_500_000) as usize));
        }
        let compressors = [Compressor::Zlib(1), Compressor::Zlib(9), Compressor::Zstd(3), Compressor::Zstd(13)];
        let image = |jobs| plan(&disk, &options(compressors[which], jobs)).unwrap();
        check("qcow2", &disk, &image(3), &image(1));
    }
}

#[test]
fn large_sparse_disk_is_compressed() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    disk.put_bytes(0, vec![1; 40 << 20]);
    disk.put_bytes(100 << 20, vec![0; 10 << 20]);
    disk.put_bytes(5 << 30, mixture(3 << 20));
    for (compressor, name) in [(Compressor::Zlib(6), "zlib"), (Compressor::Zstd(9), "zstd")] {
        let image = plan(&disk, &options(compressor, 2)).unwrap();
        assert!(image.len() < 4 << 20, "{}", image.len());
        let dir = tempfile::tempdir().unwrap();
        let (image_path, plain) = (dir.path().join("image"), dir.path().join("plain"));
        emit::to_path(&image, &image_path).unwrap();
        emit::to_path(&plan(&disk, &Options::default()).unwrap(), &plain).unwrap();
        let report = qemu_img(&["check", "-f", "qcow2"], &image_path);
        assert!(
            report.contains("No errors were found") && report.contains("% compressed clusters"),
            "{report}"
        );
        let report = qemu_img(&["compare", plain.to_str().unwrap()], &image_path);
        assert!(report.contains("Images are identical"), "{report}");
        let info = qemu_img(&["info", "-f", "qcow2"], &image_path);
        for line in [format!("({LARGE} bytes)"), format!("compression type: {name}")] {
            assert!(info.contains(&line), "{line}\n{info}");
        }
    }
}

#[test]
fn impossible_options_are_refused() {
    let disk = Extents::from_bytes([1; 512]);
    for compressor in [
        Compressor::Zlib(0),
        Compressor::Zlib(10),
        Compressor::Zstd(0),
        Compressor::Zstd(23),
    ] {
        let error = plan(&disk, &options(compressor, 1)).unwrap_err();
        assert!(matches!(error, Error::Level { .. }), "{error}");
    }
    let mut nowhere = options(Compressor::Zlib(6), 2);
    nowhere.temp_dir = "/nonexistent".into();
    let error = plan(&disk, &nowhere).unwrap_err();
    assert!(matches!(error, Error::Spill { .. }), "{error}");
    let large = Extents::zeros(u64::MAX >> 2);
    assert!(plan(&large, &options(Compressor::Zlib(6), 2)).is_err());
}
