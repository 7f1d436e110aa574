//! Nodes and options that squashfs cannot store are refused, with the path.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{options, set};
use extents::{Blob, Extents};
use squashfs_image::{Compressor, Error, Options, plan};
use testing::sample::{file, meta, put};
use tree::{Device, Kind, Tree};

fn refused(tree: &Tree) -> Error {
    plan(tree, &options(Compressor::GZIP, 4096)).unwrap_err()
}

fn with(path: &str, kind: Kind) -> Tree {
    let mut tree = Tree::default();
    put(&mut tree, path, kind);
    tree
}

#[test]
fn options_that_do_not_exist() {
    let tree = Tree::default();
    for size in [0, 1, 2048, 4097, 100_000, 2 << 20, u32::MAX] {
        let error = plan(&tree, &options(Compressor::GZIP, size)).unwrap_err();
        assert!(error.to_string().ends_with(&format!("have {size} bytes")), "{error}");
    }
    for compressor in [
        Compressor::Gzip(0),
        Compressor::Gzip(10),
        Compressor::Zstd(0),
        Compressor::Zstd(23),
        Compressor::Xz(10),
        Compressor::Xz(u32::MAX),
    ] {
        let error = plan(&tree, &options(compressor, 4096)).unwrap_err();
        assert!(matches!(error, Error::Level { .. }), "{error}");
    }
}

#[test]
fn devices() {
    for (major, minor) in [(4096, 0), (0, 1 << 20), (u32::MAX, u32::MAX)] {
        for kind in [
            Kind::CharDevice(Device { major, minor }),
            Kind::BlockDevice(Device { major, minor }),
        ] {
            let error = refused(&with("dev/x", kind));
            assert!(
                error
                    .to_string()
                    .contains(&format!("the device dev/x has the number {major}:{minor}")),
                "{error}"
            );
        }
    }
}

#[test]
fn attributes() {
    let long = format!("user.{}", "x".repeat(251));
    for (name, len) in [
        ("system.posix_acl_access", 1),
        ("user.", 1),
        ("nothing", 1),
        ("", 1),
        ("user.a\0b", 1),
        (&long, 1),
        ("user.value", 65_537),
    ] {
        let mut tree = Tree::default();
        let mut with = meta();
        with.xattrs.insert(name.as_bytes().to_vec(), vec![1; len]);
        tree.insert(b"some/file", with, Kind::Fifo, &meta()).unwrap();
        let error = refused(&tree);
        assert!(
            matches!(&error, Error::Attribute { path, .. } if path == b"some/file"),
            "{error}"
        );
    }
}

#[test]
fn owners() {
    let mut tree = Tree::default();
    for number in 0..40_000u32 {
        let mut with = meta();
        (with.uid, with.gid) = (number, 100_000 + number);
        tree.insert(format!("{number:05}").as_bytes(), with, Kind::Fifo, &meta())
            .unwrap();
    }
    let error = refused(&tree);
    // 0 is taken by the root directory and the first file.
    assert!(matches!(&error, Error::Ids { path, .. } if path == b"32767"), "{error}");
}

#[test]
fn lengths() {
    for len in [(2 << 40) + 1, u64::MAX] {
        let error = refused(&with("file", Kind::File(Extents::zeros(len))));
        assert!(matches!(error, Error::LargeFile { .. }), "{error}");
    }
}

#[derive(Debug)]
struct Broken;

impl Blob for Broken {
    fn len(&self) -> u64 {
        1 << 20
    }

    fn read_exact_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
        Err(std::io::Error::other("the disk is broken"))
    }
}

#[test]
fn failures_name_what_failed() {
    let content = Extents::from_blob(std::sync::Arc::new(Broken));
    for jobs in [1, 3] {
        let mut tree = with("etc/broken", Kind::File(content.clone()));
        put(&mut tree, "a", file(vec![1; 1 << 20]));
        let options = set(options(Compressor::GZIP, 4096), |o| o.jobs = jobs);
        let error = plan(&tree, &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the content of etc/broken: the disk is broken"
        );
    }
    let options = set(Options::default(), |o| o.temp_dir = "/nonexistent".into());
    let error = plan(&with("a", file(vec![1; 10])), &options).unwrap_err();
    assert!(matches!(error, Error::Spill { .. }), "{error}");
}
