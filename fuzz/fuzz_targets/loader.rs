//! The programs of boot loaders: extlinux, and systemd's stub.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ldlinux) = syslinux::from_program(bytes) {
        ldlinux.file();
    }
    drop(uki::append(&Extents::from_bytes(bytes), &[]));
});
