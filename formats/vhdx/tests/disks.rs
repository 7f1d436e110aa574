//! Images of random disks, compared with the disks by qemu-img.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use extents::{Extents, emit};
use proptest::prelude::*;
use testing::disk::{check, disks, qemu_img};
use vhdx_image::{Error, Options, Uuid, plan};

const LARGE: u64 = 63 << 40;

fn options() -> Options {
    let mut options = Options::default();
    options.uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_8123_4567_89ab_cdef);
    options
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn qemu_reads_the_disk(disk in disks()) {
        let image = || plan(&disk, &options()).unwrap();
        check("vhdx", &disk, &image(), &image());
    }
}

#[test]
fn large_sparse_disk_yields_a_small_image() {
    let mut disk = Extents::zeros(LARGE);
    disk.put_bytes(LARGE - 512, [1; 512]);
    // Before and after the entry of a bitmap.
    disk.put_bytes((4 << 30) - 512, [1; 1024]);
    disk.put_bytes(0, [1; 512]);
    let image = plan(&disk, &options()).unwrap();
    let len: u64 = image.extents().iter().map(|extent| extent.data().len()).sum();
    assert!(len < 1 << 20, "{len}");
    let dir = tempfile::tempdir().unwrap();
    let image_path = dir.path().join("image");
    emit::to_path(&image, &image_path).unwrap();
    qemu_img(&["check", "-f", "vhdx"], &image_path);
    let info = qemu_img(&["info", "-f", "vhdx"], &image_path);
    assert!(info.contains(&format!("({LARGE} bytes)")), "{info}");
    // Sectors around the content, as QEMU reads them.
    for (at, byte) in [
        (0, 1),
        (512, 0),
        ((4 << 30) - 512, 1),
        (4 << 30, 1),
        ((4 << 30) + 512, 0),
        (LARGE - 512, 1),
    ] {
        let read = format!("read -P {byte} {at} 512");
        let report = Command::new("qemu-io")
            .args(["-r", "-f", "vhdx", "-c", &read])
            .arg(&image_path)
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        assert!(
            report.contains("read 512/512 bytes") && !report.contains("failed"),
            "{read}: {report}"
        );
    }
    disk.set_len(u64::MAX >> 2);
    assert!(plan(&disk, &options()).is_err());
}

#[test]
fn creator_is_stored_or_refused() {
    let mut options = options();
    options.creator = "é".repeat(256);
    let image = plan(&Extents::zeros(1 << 20), &options).unwrap();
    assert_eq!(image.part(8, 4).to_vec().unwrap(), [0xe9, 0, 0xe9, 0]);
    options.creator.push('x');
    let error = plan(&Extents::zeros(1 << 20), &options).unwrap_err();
    assert!(matches!(error, Error::Creator { len: 257 }), "{error}");
}
