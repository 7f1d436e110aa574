//! `moby cache` on folders that others wrote, damaged or changed at the same time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::layout::{Layer, Layout, tar};
use common::site::{Site, files, good, refused};

/// An image of one file, `a`.
fn image(layout: &Layout, content: &[u8]) -> serde_json::Value {
    layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "a", "", content)]))])
}

#[test]
fn an_index_that_cannot_be_read_is_left_as_it_is() {
    let site = Site::new();
    let mut other = Layout::new(&site.path("other"));
    let one = image(&other, b"one");
    other.name("example.org/one", one);
    good(site.moby(&["-q", "pkg", "build", "init"]));
    let (index, blobs) = (site.path("cache/index.json"), site.path("cache/blobs/sha256"));
    let whole = fs::read(&index).unwrap();
    let before = files(&blobs);
    let none = br#"{"schemaVersion": 2}"#.to_vec();
    for damaged in [&whole[..whole.len() - 1], b"", b"\0\0\0\0", b"[]", &none] {
        fs::write(&index, damaged).unwrap();
        for arguments in [
            &["cache", "import", "other"][..],
            &["cache", "rm", "example.org/one"],
            &["cache", "clean"],
            &["pkg", "build", "kernel"],
        ] {
            let message = refused(site.moby(arguments), 1);
            assert!(
                message.contains("cache/index.json") && message.contains("help: "),
                "{arguments:?}: {message}"
            );
            assert!(fs::read(&index).unwrap() == damaged, "{arguments:?}");
            assert_eq!(files(&blobs), before, "{arguments:?}");
        }
    }
    // Not a file at all, as when the system cannot read it.
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    let message = refused(site.moby(&["cache", "import", "other"]), 1);
    assert!(message.contains("cache/index.json"), "{message}");
    fs::remove_dir(&index).unwrap();
    // Put back, all is there; without one, the folder is a new one.
    fs::write(&index, &whole).unwrap();
    good(site.moby(&["cache", "import", "other"]));
    good(site.moby(&["cache", "verify"]));
    fs::write(&index, r#"{"schemaVersion": 2, "manifests": null}"#).unwrap();
    good(site.moby(&["cache", "import", "other"]));
    fs::remove_file(&index).unwrap();
    good(site.moby(&["cache", "import", "other"]));
    let listed = String::from_utf8(good(site.moby(&["cache", "ls"]))).unwrap();
    assert!(
        listed.starts_with("example.org/one ") && listed.lines().count() == 1,
        "{listed}"
    );
}
