//! An initrd's archive.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((members, used)) = cpio::members(&Extents::from_bytes(bytes)) {
        assert!(used <= bytes.len() as u64 + 3);
        drop(members);
    }
});
