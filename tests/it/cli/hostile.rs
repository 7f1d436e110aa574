//! Hostile images, layers and YAML: refused or contained, with nothing written but whole outputs.

use std::fs;
use std::process::{Command, Output};

use crate::common::layout::{GZIP, Layer, Layout, Member, PLAIN, digest, tar};
use crate::common::site::{Site, files, refused};
use serde_json::json;

/// A site with an image `evil` of one layer, and a YAML that unpacks it as init and in a container.
fn site(layer: Layer) -> Site {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let image = layout.manifest("amd64", &[layer]);
    layout.name("docker.io/library/evil", image);
    site.write("evil.yml", "init: [evil]\nonboot: [{name: c, image: evil}]\n");
    site.write("victim/secret", "untouched");
    fs::create_dir(site.path("out")).unwrap();
    site
}

/// Builds the site with little memory. Returns the output of moby, and the files that were written.
fn build(site: &Site) -> (Output, Vec<String>) {
    let script = "ulimit -v 700000; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_moby")])
        .args([
            "-q",
            "build",
            "--rebuild",
            "--cache",
            "cache",
            "--layout",
            "layout",
            "--arch",
            "amd64",
        ])
        .args(["-j", "1", "-f", "tar,kernel+initrd", "--dir", "out", "evil.yml"])
        .env("MOBY_OFFLINE", "1")
        .current_dir(site.0.path())
        .output()
        .unwrap();
    let written = files(&site.path("out"));
    (output, written)
}

/// Names in a site besides those that a build writes.
fn other_names(site: &Site) -> Vec<String> {
    let mut names = files(site.0.path());
    names.retain(|name| !["cache", "out"].contains(&name.as_str()));
    names
}

/// The members of a tar that the tar crate reads, which checks nothing of it.
fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).into_owned())
        .collect()
}

#[test]
fn layers_cannot_leave_their_tree() {
    const REFUSED: &[(&[Member], &str)] = &[
        (&[(b'0', "../evil", "", b"x")], "../evil"),
        (&[(b'0', "a/../../evil", "", b"x")], "`..` component"),
        (&[(b'5', "..", "", b"")], "`..` component"),
        (&[(b'0', ".", "", b"x")], "root directory"),
        (&[(b'1', "passwd", "../../../../etc/passwd", b"")], "hard link"),
        (&[(b'1', "passwd", "/etc/passwd", b"")], "hard link"),
        (&[(b'1', "a", "a", b"")], "hard link"),
        (&[(b'5', "d", "", b""), (b'1', "a", "d", b"")], "hard link"),
        (
            &[(b'2', "a", "b", b""), (b'2', "b", "a", b""), (b'0', "a/x", "", b"x")],
            "symbolic links",
        ),
        (&[(b'S', "sparse", "", b"x")], "sparse"),
        (&[(b'?', "what", "", b"x")], "type"),
    ];
    let contained: &[(&[Member], &str)] = &[
        (&[(b'0', "/etc/absolute", "", b"x")], "etc/absolute"),
        (&[(b'0', "//./etc//absolute", "", b"x")], "etc/absolute"),
        // Links that lead out of the image lead to its root.
        (
            &[
                (b'2', "out", "../../../../../victim", b""),
                (b'0', "out/secret", "", b"evil"),
            ],
            "victim/secret",
        ),
        (
            &[(b'2', "out", "/victim", b""), (b'0', "out/secret", "", b"evil")],
            "victim/secret",
        ),
        (
            &[
                (b'2', "out", "..", b""),
                (b'1', "out/again", "out/one", b""),
                (b'0', "one", "", b"x"),
            ],
            "",
        ),
        // Devices are entries like others, and nothing opens them.
        (
            &[
                (b'3', "null", "", b""),
                (b'4', "disk", "", b""),
                (b'6', "pipe", "", b""),
            ],
            "disk",
        ),
        (&[(b'0', "new\nline\x1b[31m", "", b"x")], "new\nline\x1b[31m"),
        (
            &[
                (b'0', ".wh...", "", b""),
                (b'0', ".wh.", "", b""),
                (b'0', "../.wh.evil", "", b""),
            ],
            "",
        ),
    ];
    for (number, (members, expected)) in REFUSED.iter().chain(contained).enumerate() {
        let site = site(Layer::plain(&tar(members)));
        let before = other_names(&site);
        let (output, written) = build(&site);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(other_names(&site), before, "{members:?}");
        assert_eq!(fs::read(site.path("victim/secret")).unwrap(), b"untouched");
        if number < REFUSED.len() || !output.status.success() {
            let message = refused(output, 1);
            assert!(message.contains(expected), "{members:?}: {message}");
            assert!(
                message.contains("docker.io/library/evil") && message.contains("evil.yml:1:8"),
                "{message}"
            );
            assert!(!message.contains('\x1b'), "{message:?}");
            assert_eq!(written, [""; 0], "{members:?}");
            continue;
        }
        assert_eq!(written, ["evil-initrd.img", "evil.tar"], "{said}");
        let names = names(&fs::read(site.path("out/evil.tar")).unwrap());
        let leaves = |name: &String| name.starts_with('/') || name.split('/').any(|part| part == "..");
        assert!(!names.iter().any(leaves), "{names:?}");
        for directory in ["", "containers/onboot/000-c/lower/"] {
            let name = format!("{directory}{expected}");
            assert!(expected.is_empty() || names.contains(&name), "{name:?} in {names:?}");
        }
    }
}

/// A header with one field replaced and the checksum made right.
fn header(field: usize, bytes: &[u8]) -> Vec<u8> {
    let mut all = tar(&[(b'0', "a", "", b"")]);
    all[field..field + bytes.len()].copy_from_slice(bytes);
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&all[..512]);
    header.set_cksum();
    all[..512].copy_from_slice(header.as_bytes());
    all
}

#[test]
fn damaged_tars_are_refused() {
    let mut cut = tar(&[(b'0', "a", "", &[1; 2000])]);
    cut.truncate(1500);
    let mut long_name = tar(&[
        (b'L', "././@LongLink", "", "d/".repeat(500_000).as_bytes()),
        (b'0', "x", "", b""),
    ]);
    // A symbolic link whose target has half a million directories, used as a parent.
    let deep = tar(&[
        (b'K', "././@LongLink", "", "m/".repeat(500_000).as_bytes()),
        (b'2', "deep", "", b""),
        (b'0', "deep/x", "", b""),
    ]);
    long_name.extend_from_slice(&[0; 1024]);
    for (what, bytes) in [
        ("cut", cut),
        ("size of 8 GiB", header(124, b"77777777777\0")),
        (
            "size of 2^63",
            header(124, &[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ),
        ("negative size", header(124, &[255; 12])),
        ("size of letters", header(124, b"xyz\0")),
        ("owner of 2^40", header(108, &[0x80, 0, 1, 0, 0, 0, 0, 0])),
        ("no header", [b'x'; 1024].to_vec()),
        ("path of 500,000 directories", long_name),
        ("link to 500,000 directories", deep),
        (
            "invalid pax records",
            tar(&[(b'x', "p", "", b"99 path=a\n"), (b'0', "x", "", b"")]),
        ),
        ("a device that is too large", {
            let mut bytes = header(329, &[0x80, 0, 1, 0, 0, 0, 0, 0]);
            bytes[156] = b'3';
            let mut fixed = tar::Header::new_ustar();
            fixed.as_mut_bytes().copy_from_slice(&bytes[..512]);
            fixed.set_cksum();
            bytes[..512].copy_from_slice(fixed.as_bytes());
            bytes
        }),
    ] {
        let site = site(Layer::plain(&bytes));
        let (output, written) = build(&site);
        let message = refused(output, 1);
        assert!(
            message.contains("docker.io/library/evil") && message.contains("sha256:"),
            "{what}: {message}"
        );
        assert!(message.len() < 5000, "{what}: a message of {} bytes", message.len());
        assert_eq!(written, [""; 0], "{what}");
    }
}

#[test]
fn decompression_bomb_is_refused() {
    // A little more than 1 GiB of zeros, in 65 gzip members; the digest of the tar does not matter, as
    // nothing gets that far.
    let bomb = crate::common::layout::through("gzip", &["-n"], &vec![0; 16 << 20]).repeat(65);
    let site = site(Layer {
        stored: bomb,
        media_type: GZIP,
        diff_id: digest(b"whatever"),
    });
    let (output, written) = build(&site);
    let message = refused(output, 1);
    for text in ["expands to more than 1 GiB", "docker.io/library/evil", "help: "] {
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(written, [""; 0]);
    assert_eq!(files(&site.path("cache/moby/layers/sha256")), [""; 0]);
}

#[test]
fn gigabytes_of_path_names_are_refused() {
    // A few paths of thousands of directories each, which together are a gigabyte of names.
    let paths: Vec<String> = (0..100)
        .map(|number| format!("{number}/{}x", "d/".repeat(3990)))
        .collect();
    let mut members: Vec<Member> = Vec::new();
    for path in &paths {
        members.push((b'L', "././@LongLink", "", path.as_bytes()));
        members.push((b'0', "x", "", b""));
    }
    let site = site(Layer::gzip(&tar(&members)));
    let (output, written) = build(&site);
    let message = refused(output, 1);
    assert!(
        message.contains("the names and attributes exceed the memory limit of the tree"),
        "{message}"
    );
    assert_eq!(written, [""; 0]);
}

#[test]
fn nested_indexes_with_many_entries_end_soon() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    // Each level has the one below it 300 times: 300^4 in all, and nothing at the end.
    let mut below = layout.index(&[]);
    for _ in 0..5 {
        below = layout.index(&vec![below; 300]);
    }
    layout.name("docker.io/library/evil", below);
    // An image whose layers are more than its diff_ids.
    let mut image = layout.manifest("amd64", &[]);
    image["size"] = json!(1);
    layout.name("docker.io/library/wrong", image);
    for (image, expected) in [("evil", "nested more than 4 deep"), ("wrong", "expected size 1 bytes")] {
        site.write("evil.yml", &format!("init: [{image}]\n"));
        let output = site.build(&["--layout", "layout", "--arch", "amd64", "-f", "tar", "evil.yml"]);
        let message = refused(output, 1);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_alias_bomb_is_refused_by_a_build() {
    let site = site(Layer {
        stored: tar(&[]),
        media_type: PLAIN,
        diff_id: digest(&tar(&[])),
    });
    // A list of lists of lists, and keys that are merged again and again.
    let mut merged = String::from("a0: &a0 {k0: x}\n");
    for level in 1..30 {
        merged.push_str(&format!(
            "a{level}: &a{level} {{<<: [*a{0}, *a{0}, *a{0}], k{level}: *a{0}}}\n",
            level - 1
        ));
    }
    for yaml in [
        merged,
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
    ] {
        site.write("evil.yml", &yaml);
        let (output, written) = build(&site);
        let message = refused(output, 2);
        assert!(message.contains("evil.yml:"), "{message}");
        assert!(message.len() < 5000, "{}", message.len());
        assert_eq!(written, [""; 0]);
    }
}
