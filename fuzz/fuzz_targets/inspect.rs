//! A file to look into: containers, disks, filesystems, programs, initrds.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(found) = moby::inspect::inspect(&Extents::from_bytes(bytes)) {
        for (_, content) in found.files.iter().take(20) {
            // Read, not held: it may be long.
            let mut buffer = [0; 512];
            let len = content.len().min(512) as usize;
            drop(content.read_exact_at(&mut buffer[..len], 0));
        }
    }
});
