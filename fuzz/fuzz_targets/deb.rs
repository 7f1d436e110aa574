//! A Debian package: ar, compression, tar.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moby::debian::deb::{self, Member};

fuzz_target!(|bytes: &[u8]| {
    for member in [Member::Control, Member::Data] {
        if let Ok(tar) = deb::member(bytes, member) {
            pax::entries(&tar).for_each(drop);
        }
    }
});
