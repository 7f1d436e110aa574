//! The JSON of an image layout. Lines with `---` divide the input into a configuration, an index or
//! manifest, and an `index.json`. `@0` and `@1` in a part stand for the digest and size of an earlier
//! part, so that verification can succeed.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;
use moby::arch::Arch;
use moby::oci::{ImageGraph, Layout};
use tree::{Kind, Meta, Tree};

fuzz_target!(|text: &str| {
    let mut names = Vec::new();
    let mut tree = Tree::default();
    let mut put = |path: &str, bytes: &[u8]| {
        let file = Kind::File(Extents::from_bytes(bytes));
        tree.insert(path.as_bytes(), Meta::default(), file, &Meta::default()).unwrap();
    };
    for (number, part) in text.split("---\n").take(3).enumerate() {
        let mut part = part.to_owned();
        for (before, (digest, size)) in names.iter().enumerate() {
            let descriptor = format!(r#""digest": "{digest}", "size": {size}"#);
            part = part.replace(&format!("@{before}"), &descriptor);
        }
        let mut graph = ImageGraph::default();
        let added = graph.add(Extents::from_bytes(part.as_bytes()), "x").unwrap();
        let digest = added["digest"].as_str().unwrap_or_default().to_owned();
        put(&format!("blobs/{}", digest.replace(':', "/")), part.as_bytes());
        names.push((digest, part.len()));
        if number == 2 {
            let name = if part.starts_with('[') { "manifest.json" } else { "index.json" };
            put(name, part.as_bytes());
        }
    }
    let Ok(tar) = pax::plan(&tree) else { return };
    let directory = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    let Ok(file) = tempfile::NamedTempFile::new_in(directory) else { return };
    if extents::emit::fill(&tar, file.as_file(), &|_| {}).is_err() {
        return;
    }
    let Ok(layout) = Layout::open(file.path()) else { return };
    for name in layout.names().into_iter().take(3) {
        drop(layout.image(&name, Arch::Amd64));
        drop(layout.graph(&name, &|_| None));
    }
    for (_, descriptor) in layout.descriptors().take(3) {
        drop(layout.platforms("fuzzed", descriptor));
    }
});
