//! Files for `moby inspect`: disk images, disks, filesystems, UEFI programs, initrds.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;
use moby::inspect::{Limits, inspect};

fuzz_target!(|bytes: &[u8]| {
    let report = inspect(&Extents::from_bytes(bytes), Limits::Bounded);
    for (_, content) in report.files().take(20) {
        // Only the beginning: a file may be long.
        let mut buffer = [0; 512];
        let len = content.len().min(512) as usize;
        drop(content.read_exact_at(&mut buffer[..len], 0));
    }
});
