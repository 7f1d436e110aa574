//! Trees as ISO images, read by Linux 6.1.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{base, random_tree, set, squeezed};
use extents::Extents;
use iso9660_image::{Options, plan};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use testing::linux::{self, Linux};
use testing::sample::{file, put, sample, text};
use tree::{Kind, NodeId, Time, Tree};

const LINUX: Linux<'_> = Linux {
    filesystem: "iso9660",
    modules: &["cdrom", "isofs"],
    target_dir: env!("CARGO_TARGET_TMPDIR"),
};

/// Nodes of every type, and random trees from a constant seed.
fn everything() -> Tree {
    let mut runner = TestRunner::deterministic();
    let mut all = Tree::new(base());
    let mut add = |name: String, tree: &Tree| all.graft(name.as_bytes(), tree.clone(), &base()).unwrap();
    let mut some = sample();
    put(&mut some, &format!("{}file", "deep/".repeat(30)), file(text(5000, 1)));
    for len in [1, 100, 249, 250, 253] {
        put(&mut some, &"n".repeat(len), Kind::Symlink(b"../target/".repeat(len)));
    }
    let mut old = base();
    old.mtime = Time::from_seconds(-86_400 * 365 * 30);
    some.insert(b"old", old, file(b"old".to_vec()), &base()).unwrap();
    add("sample".to_owned(), &some);
    for number in 0..15 {
        add(
            number.to_string(),
            &random_tree().new_tree(&mut runner).unwrap().current(),
        );
    }
    all
}

/// Tree as Rock Ridge stores it.
fn stored(tree: &Tree) -> Tree {
    let mut stored = tree.clone();
    let ids: Vec<NodeId> = tree.walk().map(|named| named.id).collect();
    for id in ids {
        if let Kind::Symlink(target) = &mut stored.node_mut(id).kind {
            *target = squeezed(target);
        }
    }
    stored
}

#[test]
fn linux_reads_what_the_trees_have() {
    let tree = everything();
    let images: Vec<_> = [false, true]
        .map(|joliet| {
            let options = set(Options::default(), |o| o.joliet = joliet);
            plan(&tree, &options).unwrap()
        })
        .into();
    let disks: Vec<&Extents> = images.iter().map(|image| image.extents()).collect();
    let (found, output) = linux::read(LINUX, &disks, "stat -f -c 'kind %t' 1");
    assert!(output.contains("kind 9660"), "{output}");
    for found in &found {
        linux::same(found, &stored(&tree), false);
    }
}
