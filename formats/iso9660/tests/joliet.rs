//! Joliet directories, read by 7-Zip, isoinfo, libarchive and hadris-iso (Debian packages
//! `p7zip-full`, `genisoimage`, `libarchive-tools`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;

use common::{OnDisk, base, check, file, run, set, tree};
use iso9660_image::{Image, Options, plan};
use tree::{Kind, Tree};

fn joliet(tree: &Tree) -> Image {
    let options = set(Options::default(), |o| {
        o.volume_id = "A volume with a long name".into();
        o.joliet = true;
    });
    plan(tree, &options).unwrap()
}

/// Lists paths and lengths with 7-Zip, which prefers Joliet to Rock Ridge.
fn seven_zip(disk: &OnDisk) -> BTreeMap<String, u64> {
    let text = run("7z", &["l", "-slt", "{}"], disk);
    let (_, list) = text.split_once("----------\n").unwrap();
    let mut files = BTreeMap::new();
    for block in list.split("\n\n") {
        let field = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
        };
        if let (Some(path), Some("-")) = (field("Path"), field("Folder")) {
            files.insert(path.to_owned(), field("Size").unwrap().parse().unwrap());
        }
    }
    files
}

#[test]
fn names_are_kept_as_far_as_they_fit() {
    let long = format!("{}.tar.gz", "l".repeat(90));
    let deep = (1..14).map(|level| level.to_string()).collect::<Vec<_>>().join("/");
    let mut tree = tree(&[
        ("boot/My Kernel-6.12.conf", b"kernel"),
        (
            "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}/\u{4f60}\u{597d}.txt",
            b"text",
        ),
        (&long, b"1"),
        (&format!("{}2.tar.gz", "l".repeat(90)), b"22"),
        ("what?.txt", b"mark"),
        ("empty", b""),
        (&format!("{deep}/file"), b"deep"),
    ]);
    tree.insert(b"symlink", base(), Kind::Symlink(b"empty".to_vec()), &base())
        .unwrap();
    tree.insert(b"fifo", base(), Kind::Fifo, &base()).unwrap();
    let image = joliet(&tree);
    check(&tree, &image);
    let disk = OnDisk::new(&image);
    let expected = BTreeMap::from([
        ("boot/My Kernel-6.12.conf".to_owned(), 6),
        (
            "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}/\u{4f60}\u{597d}.txt".to_owned(),
            4,
        ),
        (format!("{}.gz", "l".repeat(61)), 1),
        (format!("{}_0.gz", "l".repeat(54)), 2),
        ("what_.txt".to_owned(), 4),
        ("empty".to_owned(), 0),
        (format!("{deep}/file"), 4),
    ]);
    assert_eq!(seven_zip(&disk), expected);
    run("7z", &["t", "{}"], &disk);
    let list = run("isoinfo", &["-J", "-f", "-i", "{}"], &disk);
    assert!(list.contains("/boot/My Kernel-6.12.conf"), "{list}");
    let text = run("isoinfo", &["-d", "-i", "{}"], &disk);
    assert!(text.contains("Joliet with UCS level 3 found"), "{text}");
    let text = run("bsdtar", &["-tf", "{}", "--options=!rockridge"], &disk);
    assert!(text.lines().any(|line| line == "boot/My Kernel-6.12.conf"), "{text}");
}

#[test]
fn both_hierarchies_share_the_contents() {
    let tree = tree(&[("a", &[b'a'; 5000]), ("b", &[b'b'; 9000])]);
    let plain = plan(&tree, &Options::default()).unwrap();
    let both = joliet(&tree);
    assert_eq!(
        plain.extents().len(),
        both.extents().len(),
        "both have the minimal length"
    );
    assert!(
        both.extents()
            .to_vec()
            .unwrap()
            .windows(9000)
            .filter(|w| **w == [b'b'; 9000])
            .count()
            == 1
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    /// Any names give a file each with its length, under different names.
    #[test]
    fn no_file_is_lost(names in proptest::collection::btree_set("[a-cA-C?*:.;\u{e4}\u{1f600} -]{1,4}|[ab]{60,70}\\.[ab]{1,12}", 1..60)) {
        let mut tree = Tree::new(base());
        let mut sizes = Vec::new();
        for (size, name) in names.iter().filter(|name| *name != "." && *name != "..").enumerate() {
            tree.insert(name.as_bytes(), base(), file(&vec![b'x'; size]), &base()).unwrap();
            sizes.push(size as u64);
        }
        let image = joliet(&tree);
        let disk = OnDisk::new(&image);
        let mut seen: Vec<u64> = seven_zip(&disk).into_values().collect();
        seen.sort_unstable();
        proptest::prop_assert_eq!(&seen, &sizes);
        let list = run("isoinfo", &["-f", "-i", "{}"], &disk);
        let unique: std::collections::BTreeSet<&str> = list.lines().filter(|line| line.starts_with('/')).collect();
        proptest::prop_assert_eq!(unique.len(), sizes.len());
    }
}
