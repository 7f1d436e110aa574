//! `moby build --explain`: which section, image and layer put a file there, and what it covers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Output;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, good, refused};

const YAML: &str = "init:
- example.org/one:1
- example.org/two:1
onboot:
- name: a
  image: example.org/one:1
files:
- path: etc/motd
  contents: \"from the YAML\"
  mode: \"0644\"
";

/// A YAML whose images and files put several files at the same paths, and the digests of the first image:
/// of its manifest and of its two layers.
fn site() -> (Site, [String; 3]) {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let low = Layer::plain(&tar(&[
        (b'0', "etc/motd", "", b"lower"),
        (b'0', "etc/gone", "", b"gone"),
        (b'2', "lib", "usr/lib", b""),
        (b'0', "usr/lib/a", "", b"a"),
    ]));
    let high = Layer::plain(&tar(&[
        (b'0', "etc/motd", "", b"higher"),
        (b'0', "etc/.wh.gone", "", b""),
    ]));
    let digests = [low.diff_id.clone(), high.diff_id.clone()];
    let one = layout.manifest("amd64", &[low, high]);
    let manifest = one["digest"].as_str().unwrap().to_owned();
    layout.name("example.org/one:1", one);
    let two = Layer::plain(&tar(&[(b'0', "etc/motd", "", b"two"), (b'0', "usr/lib/a", "", b"b")]));
    let two = layout.manifest("amd64", &[two]);
    layout.name("example.org/two:1", two);
    site.write("m.yml", YAML);
    let [low, high] = digests;
    (site, [manifest, low, high])
}

fn explain(site: &Site, path: &str) -> Output {
    site.build(&["--arch", "amd64", "--layout", "layout", "--explain", path, "m.yml"])
}

#[test]
fn every_file_that_was_at_a_path_is_named() {
    let (site, [manifest, low, high]) = site();
    let text = String::from_utf8(good(explain(&site, "/etc/motd"))).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [file, from, two, upper, lower] = lines.as_slice() else {
        panic!("{text}");
    };
    assert_eq!(*file, "/etc/motd: file, 13 bytes, mode 0644, owner 0:0");
    assert_eq!(*from, "  from files[0] (m.yml:8)");
    assert!(
        two.starts_with("  covers init[1] (m.yml:3), example.org/two:1@sha256:"),
        "{text}"
    );
    let one = format!("  covers init[0] (m.yml:2), example.org/one:1@{manifest}");
    assert_eq!(
        *upper,
        format!("{one}, layer 2 of 2 {high}: file, 6 bytes, mode 0644, owner 0:0")
    );
    assert_eq!(
        *lower,
        format!("{one}, layer 1 of 2 {low}: file, 5 bytes, mode 0644, owner 0:0")
    );
}

#[test]
fn files_of_containers_and_behind_links_have_their_layer() {
    let (site, [_, low, high]) = site();
    let text = |path: &str| String::from_utf8(good(explain(&site, path))).unwrap();
    let container = text("containers/onboot/000-a/lower/etc/motd");
    assert!(
        container.contains("from onboot[0] (m.yml:5)") && container.contains(&high),
        "{container}"
    );
    // The link leads to usr/lib, where both images have the file.
    let behind = text("/lib/a");
    assert!(
        behind.contains("from init[1]") && behind.contains("covers init[0]"),
        "{behind}"
    );
    assert!(behind.contains(&low), "{behind}");
    let link = text("lib");
    assert!(link.starts_with("/lib: symbolic link to usr/lib\n"), "{link}");
    let added = text("etc/hosts");
    assert!(
        added.contains("example.org/two:1@sha256:") && added.contains("added by moby"),
        "{added}"
    );
    assert!(text("containers/onboot/000-a/config.json").contains("from onboot[0]"));
    assert!(text("sbom.spdx.json").contains("from moby"), "the SBOM");
    let directory = text("etc");
    assert!(directory.starts_with("/etc: directory, mode 0755"), "{directory}");
}

#[test]
fn a_path_that_nothing_has_is_an_error_and_nothing_is_written() {
    let (site, _) = site();
    for path in ["etc/gone", "/nowhere", "etc/motd/below"] {
        let message = refused(explain(&site, path), 1);
        assert!(message.contains("puts /") && message.contains("help:"), "{message}");
    }
    assert!(!site.path("m-initrd.img").exists() && !site.path("m-kernel").exists());
}
