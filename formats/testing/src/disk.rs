//! Random disks, and qemu-img, which compares images with them.

use std::path::Path;

use extents::{Extents, emit};
use proptest::prelude::*;

use crate::program::checked;

/// Runs qemu-img on a file and returns its output.
///
/// # Panics
/// The program is not installed or exits with an error.
pub fn qemu_img(arguments: &[&str], file: &Path) -> String {
    checked("qemu-img", arguments, file)
}

/// Generates disks of whole sectors with scattered content.
pub fn disks() -> impl Strategy<Value = Extents> {
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

/// Checks an image in a format of QEMU, compares it with its disk, and with a second image of the disk,
/// which must have equal bytes. QEMU cannot check, only compare, the format `vpc`.
///
/// # Panics
/// The image is corrupt, or differs from the expected bytes.
pub fn check(format: &str, disk: &Extents, image: &Extents, again: &Extents) {
    let dir = tempfile::tempdir().unwrap();
    let (raw, image_path, twice) = (
        dir.path().join("raw"),
        dir.path().join("image"),
        dir.path().join("twice"),
    );
    for (content, path) in [(disk, &raw), (image, &image_path), (again, &twice)] {
        emit::to_path(content, path).unwrap();
    }
    if format != "vpc" {
        qemu_img(&["check", "-f", format], &image_path);
    }
    let raw = raw.to_str().unwrap();
    let report = qemu_img(&["compare", "-f", "raw", "-F", format, raw], &image_path);
    assert!(report.contains("Images are identical"), "{report}");
    assert!(std::fs::read(&image_path).unwrap() == std::fs::read(&twice).unwrap());
}
