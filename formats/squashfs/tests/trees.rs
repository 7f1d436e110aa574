//! Trees as filesystems, judged by unsquashfs, the backhand crate and Linux.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{MTIME, Mounted, OnDisk, check, file, meta, noise, options, put, run, text};
use extents::Extents;
use proptest::prelude::*;
use squashfs::{Compressor, Options, plan};
use tree::{Device, Kind, Meta, Time, Tree};

const SMALL: u32 = 4096;
const COMPRESSORS: [Compressor; 4] = [Compressor::GZIP, Compressor::ZSTD, Compressor::XZ, Compressor::Lz4];

/// A bit of everything.
fn sample() -> Tree {
    let mut tree = Tree::new(Meta::new(0o751, Time::from_seconds(5)));
    put(&mut tree, "empty", file(Vec::new()));
    put(&mut tree, "one", file(b"1".to_vec()));
    put(&mut tree, "etc/motd", file(text(300, 1)));
    put(&mut tree, "etc/same", file(text(300, 1)));
    put(&mut tree, "usr/bin/large", file(text(700_000, 2)));
    put(&mut tree, "usr/bin/large-again", file(text(700_000, 2)));
    put(&mut tree, "usr/bin/noise", file(noise(300_001, 3)));
    put(&mut tree, "usr/bin/block", file(noise(131_072, 4)));
    put(&mut tree, "usr/zeros", file(vec![0; 500_000]));
    put(&mut tree, "usr/hole", Kind::File(Extents::zeros(500_000)));
    put(&mut tree, "empty-folder/empty-folder", Kind::directory());
    put(&mut tree, "lib", Kind::Symlink(b"usr/lib".to_vec()));
    put(&mut tree, "dev/null", Kind::CharDevice(Device { major: 1, minor: 3 }));
    put(
        &mut tree,
        "dev/disk",
        Kind::BlockDevice(Device {
            major: 259,
            minor: 70_000,
        }),
    );
    put(&mut tree, "run/fifo", Kind::Fifo);
    put(&mut tree, "run/socket", Kind::Socket);
    tree.link(b"other-name", b"usr/bin/large", &meta()).unwrap();
    tree.link(b"run/fifo-too", b"run/fifo", &meta()).unwrap();
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
        assert_eq!(image.inodes(), 1);
        assert_eq!(image.extents().len(), 4096);
    }
}

#[test]
fn what_the_superblock_says() {
    let image = check(&sample(), &options(Compressor::GZIP, 128 << 10));
    let out = run("unsquashfs", &["-s"], &OnDisk::new(&image).path()).stdout;
    let out = String::from_utf8(out).unwrap();
    for line in [
        "Creation or last append time Tue Nov 14 22:13:20 2023".to_owned(),
        format!("Filesystem size {} bytes", image.used()),
        "Block size 131072".to_owned(),
        "Filesystem is exportable via NFS".to_owned(),
        "Duplicates are removed".to_owned(),
        format!("Number of inodes {}", image.inodes()),
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
    assert!(often.used() - once.used() < 300, "{} {}", once.used(), often.used());
}

#[test]
fn a_hole_is_the_same_as_zeros() {
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
    assert!(image.used() < 100_000, "{}", image.used());
    let disk = OnDisk::new(&image);
    let out = run("unsquashfs", &["-q", "-lln"], &disk.path()).stdout;
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(" 5368709120 ") && out.contains(" 1099511627776 "), "{out}");
    let check = |path: &std::path::Path| {
        let found = extents::FileBlob::open(path).unwrap();
        let found = Extents::from_slice(extents::Slice::whole(std::sync::Arc::new(found)));
        for (offset, len) in [((3 << 30) - 10, 200_020), ((5 << 30) - 100, 100), (0, 4096)] {
            let part = |file: &Extents| file.part(offset, len).to_vec().unwrap();
            assert!(part(&found) == part(&content));
        }
        assert_eq!(found.len(), content.len());
    };
    check(&disk.extract_one("file"));
    if let Some(mounted) = Mounted::new(&disk) {
        check(&mounted.path().join("file"));
        let facts = std::fs::metadata(mounted.path().join("hole")).unwrap();
        assert_eq!(
            (facts.len(), std::os::unix::fs::MetadataExt::blocks(&facts)),
            (1 << 40, 0)
        );
    }
}

#[test]
fn a_folder_with_very_many_names() {
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
                "folder/{:0width$}",
                number * 7919 % 30_000,
                width = 5 + number as usize % 60
            ),
            kind,
        );
    }
    put(&mut tree, "folder/file", file(b"content".to_vec()));
    let image = check(&tree, &options(Compressor::GZIP, SMALL));
    assert_eq!(image.inodes(), 30_003);
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
    // No other filesystem has the longest, so it can only be listed.
    put(&mut tree, &"m".repeat(256), file(b"x".to_vec()));
    let image = plan(&tree, &options(Compressor::GZIP, SMALL)).unwrap();
    let out = run("unsquashfs", &["-q", "-l"], &OnDisk::new(&image).path()).stdout;
    assert!(String::from_utf8_lossy(&out).contains(&format!("/{}\n", "m".repeat(256))));
}

#[test]
fn deep_paths() {
    let mut tree = Tree::default();
    put(&mut tree, &"d/".repeat(900), file(b"bottom".to_vec()));
    check(&tree, &options(Compressor::GZIP, SMALL));
}

#[test]
fn many_owners_and_attributes() {
    let mut tree = Tree::default();
    for number in 0..5000u32 {
        let mut meta = meta();
        (meta.uid, meta.gid) = (number, 1_000_000 + number * 500_000 / 3);
        let mut add = |name: &str, value: Vec<u8>| meta.xattrs.insert(name.as_bytes().to_vec(), value);
        add("user.number", number.to_string().into_bytes());
        add("trusted.t", text(number as usize % 200, 1));
        if number % 2 == 0 {
            add("security.s", vec![0, 1, 2]);
        }
        if number % 7 == 0 {
            add("user.empty", Vec::new());
        }
        let kind = if number % 3 == 0 {
            Kind::directory()
        } else {
            file(vec![b'x'; number as usize % 3])
        };
        tree.insert(format!("{number}").as_bytes(), meta, kind, &common::meta())
            .unwrap();
    }
    check(&tree, &options(Compressor::ZSTD, SMALL));
    check(&tree, &options(Compressor::GZIP, SMALL));
}

#[test]
fn times_are_cut_to_what_there_is() {
    let mut tree = Tree::new(Meta::new(0o755, Time::from_seconds(i64::MAX)));
    for (name, seconds) in [("a", -1), ("b", i64::MIN), ("c", i64::from(u32::MAX)), ("d", 1 << 32)] {
        let meta = Meta::new(0o4711, Time::from_seconds(seconds));
        tree.insert(name.as_bytes(), meta.clone(), file(Vec::new()), &meta)
            .unwrap();
    }
    check(&tree, &options(Compressor::GZIP, SMALL));
    let options = Options {
        time: Time::from_seconds(-5),
        ..options(Compressor::GZIP, SMALL)
    };
    check(&tree, &options);
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let any_byte = any::<u8>().prop_filter("not in names", |b| !b"\0/".contains(b));
    prop_oneof![
        4 => "[a-e]{1,2}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any_byte, 1..12),
        1 => "[a-zäöü你🦀]{20,60}".prop_map(String::into_bytes),
        1 => "[a-z]{200,255}".prop_map(String::into_bytes),
    ]
    .prop_filter("dots", |name| name != b"." && name != b"..")
}

fn content() -> impl Strategy<Value = Extents> {
    let len = prop_oneof![
        0usize..300,
        (0usize..6, 0usize..3).prop_map(|(blocks, more)| (blocks * SMALL as usize + more).saturating_sub(1)),
        0usize..60_000,
    ];
    let piece = (len, 0u64..4, 0..4u8).prop_map(|(len, seed, kind)| match kind {
        0 => Extents::from_bytes(noise(len, seed)),
        1 => Extents::from_bytes(vec![0; len]),
        2 => Extents::zeros(len as u64),
        _ => Extents::from_bytes(text(len, seed)),
    });
    prop::collection::vec(piece, 0..4).prop_map(|pieces| {
        let mut all = Extents::new();
        pieces.iter().for_each(|piece| all.push(piece));
        all
    })
}

fn kind() -> impl Strategy<Value = Option<Kind>> {
    let device = (0..4096u32, 0..1u32 << 20).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        8 => content().prop_map(|content| Some(Kind::File(content))),
        3 => Just(Some(Kind::directory())),
        2 => "[a-e/.]{1,20}".prop_map(|target| Some(Kind::Symlink(target.into_bytes()))),
        1 => device.clone().prop_map(|device| Some(Kind::CharDevice(device))),
        1 => device.prop_map(|device| Some(Kind::BlockDevice(device))),
        1 => Just(Some(Kind::Fifo)),
        1 => Just(Some(Kind::Socket)),
        // A hard link.
        3 => Just(None),
    ]
}

fn metas() -> impl Strategy<Value = Meta> {
    let id = prop_oneof![Just(0u32), 0..3u32, 0..0xffff_fff0u32];
    (0..0o10000u32, id.clone(), id, 0..i64::from(u32::MAX)).prop_map(|(mode, uid, gid, time)| Meta {
        uid,
        gid,
        ..Meta::new(mode, Time::from_seconds(time))
    })
}

fn attributes() -> impl Strategy<Value = std::collections::BTreeMap<Vec<u8>, Vec<u8>>> {
    let attribute = "(trusted|security)\\.[a-c]{1,2}".prop_map(String::into_bytes);
    prop::collection::btree_map(attribute, prop::collection::vec(any::<u8>(), 0..20), 0..3)
}

fn trees() -> impl Strategy<Value = Tree> {
    let op = (
        prop::collection::vec(name(), 1..6),
        kind(),
        metas(),
        attributes(),
        any::<prop::sample::Index>(),
    );
    (prop::collection::vec(op, 0..50), any::<bool>()).prop_map(|(ops, with_attributes)| {
        let mut tree = Tree::new(Meta::new(0o755, Time::from_seconds(MTIME)));
        let mut paths: Vec<Vec<u8>> = Vec::new();
        for (path, kind, mut meta, xattrs, pick) in ops {
            let path = path.join(&b'/');
            let parents = Meta::new(0o700, Time::from_seconds(MTIME));
            let Some(kind) = kind else {
                if !paths.is_empty() {
                    // The target may be gone, or be a folder.
                    let _ = tree.link(&path, pick.get(&paths).as_slice(), &parents);
                }
                continue;
            };
            if with_attributes {
                meta.xattrs = xattrs;
            }
            // Links may lead in circles.
            if tree.insert(&path, meta, kind, &parents).is_ok() {
                paths.push(path);
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back(tree in trees(), which in 0usize..COMPRESSORS.len() * 3) {
        // Gzip more often: it has two readers.
        let compressor = COMPRESSORS.get(which).copied().unwrap_or(Compressor::Gzip(1));
        check(&tree, &options(compressor, SMALL));
    }
}
