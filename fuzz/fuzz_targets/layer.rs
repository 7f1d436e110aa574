//! A layer: laid over itself, and written again as tar and initrd. The tar that is written has the
//! same tree.
#![no_main]

use extents::Extents;
use libfuzzer_sys::fuzz_target;
use moby::store::{Layer, Location, flatten};

fn layer() -> Layer {
    Layer {
        image: "docker.io/library/a".into(),
        arch: None,
        location: Location {
            file: "blob".into(),
            member: None,
        },
        expected: None,
        diff_id: "sha256:0".into(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let archive = Extents::from_bytes(bytes);
    let mut tree = flatten::empty();
    for _ in 0..2 {
        if flatten::apply(&mut tree, &archive, "a", &layer(), 1).is_err() {
            break;
        }
    }
    for named in tree.walk() {
        let path = &named.path;
        assert!(!path.starts_with(b"/") && !path.split(|byte| *byte == b'/').any(|part| part == b".."));
    }
    drop(cpio::plan(&tree).map(|initrd| cpio::members(&initrd).map(drop)));
    let Ok(written) = pax::plan(&tree) else { return };
    let mut again = flatten::empty();
    let read = flatten::apply(&mut again, &written, "a", &layer(), 1);
    read.unwrap_or_else(|error| panic!("what was written cannot be read: {error}"));
    let names = |tree: &tree::Tree| -> Vec<(Vec<u8>, bool, u64)> {
        let length = |kind: &tree::Kind| match kind {
            tree::Kind::File(content) => content.len(),
            _ => 0,
        };
        let fields = |named: tree::NamedNode<'_>| (named.path.clone(), named.node.kind.is_directory(), length(&named.node.kind));
        tree.walk().map(fields).filter(|(path, ..)| !whiteout(path)).collect()
    };
    assert_eq!(names(&tree), names(&again));
});

/// Returns whether a component of a path is a whiteout, which hides other paths.
fn whiteout(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part.starts_with(b".wh."))
}
