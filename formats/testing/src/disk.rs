//! Disks, and qemu-img, which says what is in an image of one.

use std::path::Path;

use extents::{Extents, emit};
use proptest::prelude::*;

use crate::program::checked;

/// Runs qemu-img, which must be content, and returns what it says.
pub fn qemu_img(arguments: &[&str], file: &Path) -> String {
    checked("qemu-img", arguments, file)
}

/// A disk of whole sectors with something here and there.
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

/// Compares an image in a format of QEMU's with the disk that is in it, and with a second one, which
/// is to be the same. The format `vpc` is one that QEMU cannot check otherwise.
pub fn check(format: &str, disk: &Extents, image: &Extents, again: &Extents) {
    let dir = tempfile::tempdir().unwrap();
    let (raw, made, twice) = (
        dir.path().join("raw"),
        dir.path().join("made"),
        dir.path().join("twice"),
    );
    for (content, path) in [(disk, &raw), (image, &made), (again, &twice)] {
        emit::to_path(content, path).unwrap();
    }
    if format != "vpc" {
        qemu_img(&["check", "-f", format], &made);
    }
    let raw = raw.to_str().unwrap();
    let said = qemu_img(&["compare", "-f", "raw", "-F", format, raw], &made);
    assert!(said.contains("Images are identical"), "{said}");
    assert!(std::fs::read(&made).unwrap() == std::fs::read(&twice).unwrap());
}
