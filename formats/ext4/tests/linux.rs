//! Trees as filesystems, read by Linux 6.1.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::set;
use ext4_image::{Journal, Options, plan};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testing::linux::{self, Linux};
use testing::random::trees;
use testing::sample::{meta, sample};
use tree::{Meta, Time, Tree};

const LINUX: Linux<'_> = Linux {
    filesystem: "ext4",
    // It is built in.
    modules: &[],
    target_dir: env!("CARGO_TARGET_TMPDIR"),
};

/// Times from 1901 to 2310, with nanoseconds.
fn times() -> impl Strategy<Value = Time> {
    let seconds = -(1i64 << 31)..(3 << 32) - (1 << 31);
    (seconds, 0..1_000_000_000u32).prop_map(|(seconds, nanoseconds)| Time { seconds, nanoseconds })
}

/// Nodes of every type, and random trees from a constant seed.
fn everything() -> Tree {
    let mut runner = TestRunner::deterministic();
    let mut all = Tree::new(Meta::new(0o755, meta().mtime));
    all.graft(b"sample", sample(), &meta()).unwrap();
    for number in 0..15 {
        let tree = trees(times(), 1000).new_tree(&mut runner).unwrap().current();
        all.graft(number.to_string().as_bytes(), tree, &meta()).unwrap();
    }
    all
}

#[test]
fn linux_reads_what_the_trees_have() {
    let tree = everything();
    let plain = Options::default();
    let all = [
        plain.clone(),
        set(plain.clone(), |o| o.boot = true),
        set(plain, |o| {
            o.journal = Journal::None;
            o.size = Some(200 << 20);
        }),
    ];
    let images: Vec<_> = all.iter().map(|options| plan(&tree, options).unwrap()).collect();
    let disks: Vec<_> = images.iter().map(|image| image.extents()).collect();
    let (mut found, output) = linux::read(LINUX, &disks, "stat -f -c 'kind %t' 2");
    assert!(output.contains("kind ef53"), "{output}");
    for found in &mut found {
        assert!(found.remove(b"lost+found"));
        linux::same(found, &tree, true);
    }
}
