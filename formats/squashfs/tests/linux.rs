//! Trees as filesystems, read by Linux 6.1.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{many_owners_and_attributes, options, times};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use squashfs_image::Compressor;
use testing::linux::{self, Linux};
use testing::random::trees;
use testing::sample::{meta, sample};
use tree::{Meta, Tree};

const LINUX: Linux<'_> = Linux {
    filesystem: "squashfs",
    modules: &["squashfs"],
    target_dir: env!("CARGO_TARGET_TMPDIR"),
};

/// Nodes of every type, many owners, and random trees from a constant seed.
fn everything() -> Tree {
    let mut runner = TestRunner::deterministic();
    let mut all = Tree::new(Meta::new(0o755, meta().mtime));
    let mut add = |name: String, tree: Tree| all.graft(name.as_bytes(), tree, &meta()).unwrap();
    add("sample".to_owned(), sample());
    add("owners".to_owned(), many_owners_and_attributes());
    for number in 0..6 {
        let tree = trees(times(), 30_000).new_tree(&mut runner).unwrap().current();
        add(number.to_string(), tree);
    }
    all
}

#[test]
fn linux_reads_what_the_trees_have() {
    let tree = everything();
    let compressors = [Compressor::GZIP, Compressor::ZSTD, Compressor::XZ, Compressor::Lz4];
    let images: Vec<_> = compressors
        .map(|compressor| squashfs_image::plan(&tree, &options(compressor, 32 << 10)).unwrap())
        .into();
    let disks: Vec<_> = images.iter().map(|image| image.extents()).collect();
    let (found, output) = linux::read(LINUX, &disks, "stat -f -c 'kind %t' 3");
    assert!(output.contains("kind 73717368"), "{output}");
    for found in &found {
        linux::same(found, &tree, true);
    }
}
