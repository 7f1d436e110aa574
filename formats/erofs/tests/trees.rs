//! Trees as filesystems, checked by fsck.erofs and dump.erofs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{COMPRESSORS, OnDisk, check, inodes, options, run, set, times};
use erofs_image::{Compressor, plan};
use extents::{Blob, Extents};
use proptest::prelude::*;
use testing::random::trees;
use testing::sample::{MTIME, file, meta, noise, put, sample, text};
use tree::{Kind, Meta, Time, Tree};

#[test]
fn an_empty_tree() {
    for compressor in COMPRESSORS {
        let image = check(&Tree::default(), &options(compressor));
        assert_eq!((inodes(&image), image.extents().len()), (1, 2 * 4096));
    }
}

#[test]
fn fields_of_the_superblock() {
    let mut tree = sample();
    tree.remove(b"usr/hole");
    for compressor in COMPRESSORS {
        let options = set(options(compressor), |o| {
            o.uuid = Some(uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
            o.label = "a-label".to_owned();
        });
        let image = check(&tree, &options);
        let out = run("dump.erofs", &["-s"], &OnDisk::new(&image).path()).stdout;
        let out = String::from_utf8(out).unwrap();
        let mut lines = vec![
            format!(
                "Filesystem blocks:                            {}\n",
                image.extents().len() / 4096
            ),
            format!("Filesystem inode count:                       {}\n", inodes(&image)),
            "Filesystem created:                           Tue Nov 14 22:13:20 2023\n".to_owned(),
            "Filesystem features:                          sb_csum mtime ".to_owned(),
            "Filesystem UUID:                              01234567-89ab-cdef-0123-456789abcdef\n".to_owned(),
        ];
        if compressor == Compressor::Lz4 {
            lines.push("0padding".to_owned());
        }
        for line in lines {
            assert!(out.contains(&line), "{line}\n{out}");
        }
        let label = image.extents().part(1024 + 64, 16).to_vec().unwrap();
        assert_eq!(&label, b"a-label\0\0\0\0\0\0\0\0\0");
    }
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
    check(&tree, &options(Compressor::None));
}

/// fsck.erofs 1.5 reads a header of attributes after every inode, even one without any.
#[test]
fn an_image_ends_after_any_number_of_inodes() {
    let mut tree = Tree::default();
    for number in 0..130 {
        put(&mut tree, &format!("{number:03}"), Kind::Fifo);
        check(&tree, &options(Compressor::None));
    }
}

#[test]
fn a_directory_with_very_many_names() {
    let mut tree = Tree::default();
    for number in 0..6_000u32 {
        let kind = match number % 3 {
            0 => file(Vec::new()),
            1 => Kind::Symlink(b"x".to_vec()),
            _ => Kind::directory(),
        };
        let width = 5 + number as usize % 60;
        put(&mut tree, &format!("directory/{:0width$}", number * 7919 % 6_000), kind);
    }
    let image = check(&tree, &options(Compressor::None));
    assert_eq!(inodes(&image), 6_002);
}

#[test]
fn files_of_all_lengths_near_a_block_and_a_piece() {
    let mut tree = Tree::default();
    let near = |around: i64| (around - 70..around + 3).map(|len| len as usize);
    for len in near(4096)
        .chain(near(8192))
        .chain((131_070..131_076).step_by(2))
        .chain([262_144, 262_145])
    {
        put(&mut tree, &format!("text{len}"), file(text(len, 1)));
        put(&mut tree, &format!("noise{len}"), file(noise(len, 1)));
        put(&mut tree, &format!("zeros{len}"), file(vec![0; len]));
    }
    for compressor in COMPRESSORS {
        check(&tree, &options(compressor));
    }
}

#[test]
fn compression_saves_space_and_noise_stays_plain() {
    let mut tree = Tree::default();
    put(&mut tree, "text", file(text(3_000_000, 1)));
    put(&mut tree, "noise", file(noise(3_000_000, 2)));
    let [plain, small] = COMPRESSORS.map(|compressor| check(&tree, &options(compressor)).extents().clone());
    assert!(
        plain.len() > 6_000_000 && small.len() < 4_200_000,
        "{} {}",
        plain.len(),
        small.len()
    );
    // The noise is a slice of its source, not a copy.
    let bytes: u64 = small
        .extents()
        .iter()
        .map(|extent| extent.data().len())
        .filter(|len| *len >= 2_900_000)
        .sum();
    assert!(bytes >= 2_900_000, "{bytes}");
}

#[test]
fn plain_contents_are_not_read() {
    #[derive(Debug)]
    struct Unread;
    impl Blob for Unread {
        fn len(&self) -> u64 {
            5 << 30
        }
        fn read_exact_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
            Err(std::io::Error::other("the disk is broken"))
        }
    }
    let content = Extents::from_blob(std::sync::Arc::new(Unread));
    let mut tree = Tree::default();
    put(&mut tree, "etc/large", Kind::File(content));
    let image = plan(&tree, &options(Compressor::None)).unwrap();
    assert!(image.extents().len() > 5 << 30 && image.extents().extents().len() < 10);
    for jobs in [1, 3] {
        let options = set(options(Compressor::Lz4), |o| o.jobs = jobs);
        let error = plan(&tree, &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the content of etc/large: the disk is broken"
        );
    }
}

#[test]
fn identifiers_follow_the_content() {
    let uuid = |tree: &Tree| plan(tree, &options(Compressor::None)).unwrap().uuid();
    let mut other = sample();
    other.node_mut(tree::NodeId::ROOT).meta.mtime = Time::from_seconds(MTIME);
    assert_eq!(uuid(&sample()), uuid(&sample()));
    assert_ne!(uuid(&sample()), uuid(&other));
    assert_ne!(
        uuid(&Tree::new(Meta::new(0o700, Time::default()))),
        uuid(&Tree::default())
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back(tree in trees(times(), 5000)) {
        for compressor in COMPRESSORS {
            check(&tree, &options(compressor));
        }
    }
}
