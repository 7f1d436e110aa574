//! Trees as filesystems, read by unsquashfs and the backhand crate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{OnDisk, bytes_used, check, inodes, many_owners_and_attributes, options, run, set, times};
use extents::Extents;
use proptest::prelude::*;
use squashfs_image::{Compressor, plan};
use testing::random::trees;
use testing::sample::{self, file, meta, noise, put, text};
use tree::{Kind, Meta, Time, Tree};

const SMALL: u32 = 4096;
const COMPRESSORS: [Compressor; 4] = [Compressor::GZIP, Compressor::ZSTD, Compressor::XZ, Compressor::Lz4];

/// Nodes of every type, and equal files.
fn sample() -> Tree {
    let mut tree = sample::sample();
    put(&mut tree, "etc/same", file(text(300, 1)));
    put(&mut tree, "usr/bin/large-again", file(text(700_000, 2)));
    tree
}

#[test]
fn every_compressor_and_size_of_blocks() {
    for compressor in COMPRESSORS {
        check(&sample(), &options(compressor, 128 << 10));
        let mut tree = sample();
        put(&mut tree, "long-link", Kind::Symlink(vec![b'x'; 4095]));
        check(&tree, &options(compressor, 128 << 10));
    }
    for compressor in [
        Compressor::Gzip(1),
        Compressor::Zstd(3),
        Compressor::Xz(1),
        Compressor::Lz4,
    ] {
        check(&sample(), &options(compressor, 4 << 10));
        check(&sample(), &options(compressor, 1 << 20));
    }
    for compressor in [
        Compressor::Gzip(9),
        Compressor::Zstd(1),
        Compressor::Zstd(15),
        Compressor::Zstd(19),
        Compressor::Zstd(22),
        Compressor::Xz(0),
    ] {
        check(&sample(), &options(compressor, 64 << 10));
    }
}

#[test]
fn an_empty_tree() {
    for compressor in COMPRESSORS {
        let image = check(&Tree::default(), &options(compressor, SMALL));
        assert_eq!(inodes(&image), 1);
        assert_eq!(image.extents().len(), 4096);
    }
}

#[test]
fn fields_of_the_superblock() {
    let image = check(&sample(), &options(Compressor::GZIP, 128 << 10));
    let out = run("unsquashfs", &["-s"], &OnDisk::new(&image).path()).stdout;
    let out = String::from_utf8(out).unwrap();
    for line in [
        "Creation or last append time Tue Nov 14 22:13:20 2023".to_owned(),
        format!("Filesystem size {} bytes", bytes_used(&image)),
        "Block size 131072".to_owned(),
        "Filesystem is exportable via NFS".to_owned(),
        "Duplicates are removed".to_owned(),
        format!("Number of inodes {}", inodes(&image)),
        "Number of ids 1".to_owned(),
    ] {
        assert!(out.contains(&line), "{line}\n{out}");
    }
}

#[test]
fn equal_files_are_stored_once_and_zeros_not_at_all() {
    let content = noise(1_000_000, 7);
    let mut once = Tree::default();
    put(&mut once, "a", file(content.clone()));
    let mut often = once.clone();
    for name in ["b", "c", "d/e"] {
        put(&mut often, name, file(content.clone()));
    }
    put(&mut often, "zeros", file(vec![0; 4 << 20]));
    let options = options(Compressor::GZIP, 128 << 10);
    let (once, often) = (check(&once, &options), check(&often, &options));
    let (once, often) = (bytes_used(&once), bytes_used(&often));
    assert!(often - once < 300, "{once} {often}");
}

#[test]
fn holes_and_zeros_give_one_image() {
    let mut holes = Extents::new();
    holes.push_zeros(100_000);
    holes.push_bytes(text(5000, 1));
    holes.push_zeros(50_001);
    let zeros = Extents::from_bytes(holes.to_vec().unwrap());
    let image = |content: &Extents| {
        let mut tree = Tree::default();
        put(&mut tree, "file", Kind::File(content.clone()));
        put(&mut tree, "twin", Kind::File(zeros.clone()));
        check(&tree, &options(Compressor::GZIP, SMALL))
            .extents()
            .to_vec()
            .unwrap()
    };
    assert!(image(&holes) == image(&zeros));
}

#[test]
fn large_sparse_files() {
    let mut content = Extents::zeros(5 << 30);
    content.put_bytes(3 << 30, text(200_000, 1));
    content.put_bytes((5 << 30) - 3, *b"end");
    let mut tree = Tree::default();
    put(&mut tree, "file", Kind::File(content.clone()));
    put(&mut tree, "hole", Kind::File(Extents::zeros(1 << 40)));
    let image = plan(&tree, &options(Compressor::GZIP, 1 << 20)).unwrap();
    assert!(bytes_used(&image) < 100_000, "{}", bytes_used(&image));
    let disk = OnDisk::new(&image);
    let out = run("unsquashfs", &["-q", "-lln"], &disk.path()).stdout;
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(" 5368709120 ") && out.contains(" 1099511627776 "), "{out}");
    let check = |path: &std::path::Path| {
        let found = extents::FileBlob::open(path).unwrap();
        let found = Extents::from_blob(std::sync::Arc::new(found));
        for (offset, len) in [((3 << 30) - 10, 200_020), ((5 << 30) - 100, 100), (0, 4096)] {
            let part = |file: &Extents| file.part(offset, len).to_vec().unwrap();
            assert!(part(&found) == part(&content));
        }
        assert_eq!(found.len(), content.len());
    };
    check(&disk.extract_one("file"));
}

#[test]
fn a_directory_with_very_many_names() {
    let mut tree = Tree::default();
    for number in 0..30_000u32 {
        let kind = match number % 3 {
            0 => file(Vec::new()),
            1 => Kind::Symlink(b"x".to_vec()),
            _ => Kind::directory(),
        };
        put(
            &mut tree,
            &format!(
                "directory/{:0width$}",
                number * 7919 % 30_000,
                width = 5 + number as usize % 60
            ),
            kind,
        );
    }
    put(&mut tree, "directory/file", file(b"content".to_vec()));
    let image = check(&tree, &options(Compressor::GZIP, SMALL));
    assert_eq!(inodes(&image), 30_003);
}

#[test]
fn names_of_every_length() {
    let mut tree = Tree::default();
    for len in 1..=255 {
        put(&mut tree, &format!("lengths/{}", "n".repeat(len)), Kind::Fifo);
    }
    for byte in (1..=255u8).filter(|byte| !b"/.".contains(byte)) {
        let path = [b"bytes/".as_slice(), &[byte]].concat();
        tree.insert(&path, meta(), file(vec![byte]), &meta()).unwrap();
    }
    check(&tree, &options(Compressor::GZIP, SMALL));
}

#[test]
fn deep_paths() {
    let mut tree = Tree::default();
    put(&mut tree, &"d/".repeat(900), file(b"bottom".to_vec()));
    check(&tree, &options(Compressor::GZIP, SMALL));
}

#[test]
fn many_owners_and_many_attributes() {
    let tree = many_owners_and_attributes();
    check(&tree, &options(Compressor::ZSTD, SMALL));
    check(&tree, &options(Compressor::GZIP, SMALL));
}

#[test]
fn times_outside_become_the_nearest() {
    let mut tree = Tree::new(Meta::new(0o755, Time::from_seconds(i64::MAX)));
    for (name, seconds) in [("a", -1), ("b", i64::MIN), ("c", i64::from(u32::MAX)), ("d", 1 << 32)] {
        let meta = Meta::new(0o4711, Time::from_seconds(seconds));
        tree.insert(name.as_bytes(), meta.clone(), file(Vec::new()), &meta)
            .unwrap();
    }
    check(&tree, &options(Compressor::GZIP, SMALL));
    let options = set(options(Compressor::GZIP, SMALL), |o| o.time = Time::from_seconds(-5));
    check(&tree, &options);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    // Attributes must fit the filesystem to which unsquashfs writes, often an ext4: one block.
    fn any_tree_comes_back(tree in trees(times(), 1200), which in 0usize..COMPRESSORS.len() * 3) {
        // Gzip more often: it has two readers.
        let compressor = COMPRESSORS.get(which).copied().unwrap_or(Compressor::Gzip(1));
        check(&tree, &options(compressor, SMALL));
    }
}
