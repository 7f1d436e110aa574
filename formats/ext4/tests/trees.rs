//! Trees as filesystems, judged by e2fsck, debugfs and the ext4-view crate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use ext4::Options;
use tree::Tree;

#[test]
fn thin() {
    let mut tree = Tree::new(meta());
    put(&mut tree, "a/b/c", file(10000, 3));
    put(&mut tree, "empty", file(0, 3));
    check(&tree, &Options::default());
    check(
        &tree,
        &Options {
            boot: true,
            ..Options::default()
        },
    );
}
