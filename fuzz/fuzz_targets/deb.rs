//! A Debian package: ar, compression, tar.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::debian::deb;

fuzz_target!(|bytes: &[u8]| {
    for which in ["control", "data"] {
        if let Ok(tar) = deb::member(bytes, which) {
            pax::entries(&tar).for_each(drop);
        }
    }
});
