//! Trees as filesystems, read by Linux 6.1.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{COMPRESSORS, check, options, times};
use erofs_image::Image;
use extents::Extents;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use testing::linux::{self, Linux};
use testing::random;
use testing::sample::{MTIME, file, meta, noise, put, sample, text};
use tree::{Kind, Meta, Time, Tree};

const LINUX: Linux<'_> = Linux {
    filesystem: "erofs",
    modules: &["libcrc32c", "erofs"],
    target_dir: env!("CARGO_TARGET_TMPDIR"),
};

/// Tree with everything that fsck.erofs 1.5 does not show: attributes, links, holes.
fn special() -> Tree {
    let mut tree = sample();
    let parents = Meta::new(0o755, Time::from_seconds(MTIME));
    for number in 0..150u32 {
        let mut meta = meta();
        (meta.uid, meta.gid) = (number, number * 500_000 / 3);
        let mut add = |name: &str, value: Vec<u8>| meta.xattrs.insert(name.as_bytes().to_vec(), value);
        add("user.shared", b"by all".to_vec());
        add("trusted.number", number.to_string().into_bytes());
        if number % 7 == 0 {
            add("user.empty", Vec::new());
            add("security.many", noise(400 * number as usize % 60_000, 1));
        }
        let kind = match number % 3 {
            0 => Kind::directory(),
            1 => Kind::Symlink(vec![b'x'; 1 + number as usize * 27]),
            _ => file(text(number as usize * 40, 2)),
        };
        let path = format!("attributes/{number}");
        // Linux has no user attributes on symbolic links.
        if number % 3 == 1 {
            meta.xattrs.retain(|name, _| !name.starts_with(b"user."));
        }
        tree.insert(path.as_bytes(), meta, kind, &parents).unwrap();
    }
    let mut many = meta();
    for number in 0..300 {
        many.xattrs
            .insert(format!("user.{number}").into_bytes(), b"twice".to_vec());
    }
    for name in ["many/a", "many/b"] {
        tree.insert(name.as_bytes(), many.clone(), file(text(9000, 1)), &parents)
            .unwrap();
    }
    let mut listed = meta();
    // POSIX access control list: version 2; owner, user 7, group, mask, others.
    let list = [
        [1u16, 6, 0xffff, 0xffff],
        [2, 4, 7, 0],
        [4, 4, 0xffff, 0xffff],
        [16, 4, 0xffff, 0xffff],
        [32, 0, 0xffff, 0xffff],
    ];
    let mut value = 2u32.to_le_bytes().to_vec();
    value.extend(list.iter().flatten().flat_map(|field| field.to_le_bytes()));
    listed.xattrs.insert(b"system.posix_acl_access".to_vec(), value);
    listed.mode = 0o640;
    tree.insert(b"listed", listed, file(b"x".to_vec()), &parents).unwrap();

    let mut holes = Extents::zeros(9 << 20);
    holes.put_bytes(5_000_001, text(20_000, 1));
    holes.put_bytes((9 << 20) - 3, *b"end");
    put(&mut tree, "holes/some", Kind::File(holes));
    put(&mut tree, "holes/all", Kind::File(Extents::zeros(5 << 20)));
    for (name, seconds, nanoseconds) in [("a", -1, 999_999_999), ("b", 1 << 33, 5), ("c", 0, 0)] {
        let meta = Meta::new(0o4711, Time { seconds, nanoseconds });
        tree.insert(format!("times/{name}").as_bytes(), meta, file(Vec::new()), &parents)
            .unwrap();
    }
    tree
}

/// Random trees from a constant seed, each in a directory of its own.
fn many() -> Tree {
    let mut runner = TestRunner::deterministic();
    let mut all = Tree::new(Meta::new(0o755, Time::from_seconds(MTIME)));
    for number in 0..15 {
        let tree = random::trees(times(), 5000).new_tree(&mut runner).unwrap().current();
        all.graft(format!("{number}").as_bytes(), tree, &meta()).unwrap();
    }
    all
}

#[test]
fn linux_reads_what_the_trees_have() {
    let trees = [special(), many()];
    let images: Vec<(Image, &Tree)> = trees
        .iter()
        .flat_map(|tree| COMPRESSORS.map(|compressor| (check(tree, &options(compressor)), tree)))
        .collect();
    let images_only: Vec<&Extents> = images.iter().map(|(image, _)| image.extents()).collect();
    let ask = "gnutar --format=posix --acls -cf - 0/listed | grep -a user:7\n\
               for n in 1 2 3 5 6 12 52; do echo $n links: $(find 0 -links $n | wc -l); done\n\
               stat -f -c 'kind %t, length %s, blocks %b, names %l' 3";
    let (found, output) = linux::read(LINUX, &images_only, ask);
    for (found, (_, tree)) in found.iter().zip(&images) {
        linux::same(found, tree, true);
    }
    assert!(output.contains("user:7:r--"), "{output}");
    let links = links(&trees[0]);
    for n in [1, 2, 3, 5, 6, 12, 52] {
        let count = links.iter().filter(|links| **links == n).count();
        assert!(
            output.contains(&format!("{n} links: {count}\r")),
            "{n} {count}: {output}"
        );
    }
    assert_eq!(
        links.iter().filter(|links| **links == 52).count(),
        1,
        "the directory of attributes"
    );
    let blocks = images_only[3].len() / 4096;
    let statfs = format!("kind e0f5e1e2, length 4096, blocks {blocks}, names 255");
    assert!(output.contains(&statfs), "{statfs}: {output}");
}

/// Link counts of all names.
fn links(tree: &Tree) -> Vec<u32> {
    let of = |node: &tree::Node| match &node.kind {
        Kind::Directory(entries) => {
            let directories = entries
                .values()
                .filter(|entry| tree.node(entry.node).kind.is_directory());
            2 + directories.count() as u32
        }
        _ => node.nlink(),
    };
    tree.walk().map(|named| of(named.node)).collect()
}
