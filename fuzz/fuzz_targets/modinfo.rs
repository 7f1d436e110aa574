//! Kernel modules: ELF, and what they need. The file is cut in two modules.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;
use tree::{Kind, Meta, Tree};

fuzz_target!(|bytes: &[u8]| {
    let mut tree = Tree::default();
    let (one, two) = bytes.split_at(bytes.len() / 2);
    for (name, bytes) in [("one", one), ("two", two), ("whole", bytes)] {
        let path = format!("lib/modules/6.1/kernel/{name}.ko");
        let file = Kind::File(Extents::from_bytes(bytes));
        tree.insert(path.as_bytes(), Meta::default(), file, &Meta::default()).unwrap();
        drop(moby::kmod::index(&mut tree));
    }
});
