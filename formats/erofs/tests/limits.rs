//! Nodes and options that EROFS cannot store are refused, with the path.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{options, set};
use erofs_image::{Compressor, Error, Options, plan};
use extents::Extents;
use testing::sample::{file, meta, put, text};
use tree::{Device, Kind, Tree};

fn refused(tree: &Tree) -> Error {
    plan(tree, &options(Compressor::None)).unwrap_err()
}

fn with(path: &str, kind: Kind) -> Tree {
    let mut tree = Tree::default();
    put(&mut tree, path, kind);
    tree
}

#[test]
fn devices() {
    for (major, minor) in [(4096, 0), (0, 1 << 20), (u32::MAX, u32::MAX)] {
        let error = refused(&with("dev/x", Kind::BlockDevice(Device { major, minor })));
        let text = format!("the device dev/x has the number {major}:{minor}");
        assert!(error.to_string().contains(&text), "{error}");
    }
}

#[test]
fn attributes() {
    let long = format!("user.{}", "x".repeat(251));
    for (name, len) in [
        ("system.posix_acl_other", 1),
        ("user.", 1),
        ("nothing", 1),
        ("", 1),
        ("user.a\0b", 1),
        (&long, 1),
        ("user.value", 65_536),
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
    // Together a little more than the limit of 262,144 bytes; slightly less fits.
    let mut tree = Tree::default();
    let mut with = meta();
    for name in ["user.a", "user.b", "user.c", "user.d"] {
        with.xattrs.insert(name.as_bytes().to_vec(), vec![1; 65_535]);
    }
    tree.insert(b"file", with.clone(), Kind::Fifo, &meta()).unwrap();
    assert!(matches!(refused(&tree), Error::Attributes { .. }));
    with.xattrs.insert(b"user.d".to_vec(), vec![1; 65_500]);
    tree.insert(b"file", with, Kind::Fifo, &meta()).unwrap();
    common::check(&tree, &options(Compressor::None));
}

#[test]
fn lengths() {
    for len in [erofs_image::MAX_FILE_LEN + 1, u64::MAX] {
        let error = refused(&with("file", Kind::File(Extents::zeros(len))));
        assert!(matches!(error, Error::LargeFile { .. }), "{error}");
    }
    // A hole of the greatest length is stored as a list of chunks.
    let image = plan(
        &with("file", Kind::File(Extents::zeros(erofs_image::MAX_FILE_LEN))),
        &options(Compressor::Lz4),
    );
    assert!(image.unwrap().extents().len() < 1 << 20);
    // Two files without holes are too much.
    #[derive(Debug)]
    struct Full;
    impl extents::Blob for Full {
        fn len(&self) -> u64 {
            9 << 40
        }
        fn read_exact_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
            Ok(())
        }
    }
    let full = Kind::File(Extents::from_blob(std::sync::Arc::new(Full)));
    let mut tree = with("a", full.clone());
    put(&mut tree, "b", full);
    assert!(matches!(refused(&tree), Error::TooLarge { .. }));
}

#[test]
fn labels_and_directories() {
    for label in ["12345678901234567", "a\0b"] {
        let options = set(options(Compressor::None), |o| o.label = label.to_owned());
        assert!(matches!(plan(&Tree::default(), &options), Err(Error::Label { .. })));
    }
    let options = set(Options::default(), |o| {
        o.compressor = Compressor::Lz4;
        o.temp_dir = "/nonexistent".into();
    });
    let error = plan(&with("a", file(text(100_000, 1))), &options).unwrap_err();
    assert!(matches!(error, Error::Spill { .. }), "{error}");
}
