//! Trees as images, listed by libarchive and xorriso (Debian packages `libarchive-tools`,
//! `xorriso`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{OnDisk, base, bsdtar, check, expected, extent_of, file, random_tree, run, set, tree, xorriso};
use extents::Extents;
use iso9660_image::{Error, Options, plan};
use proptest::prelude::*;
use tree::{Device, Kind, Meta, Time, Tree};

#[test]
fn every_kind_of_node_arrives() {
    let mut tree = tree(&[("usr/bin/a", b"one content"), ("empty", b""), ("\u{fc}n\u{ef}", b"x")]);
    tree.link(b"bin/b", b"usr/bin/a", &base()).unwrap();
    tree.link(b"z", b"usr/bin/a", &base()).unwrap();
    let meta = Meta {
        uid: 1000,
        gid: 70_000,
        mode: 0o4751,
        mtime: Time::from_seconds(-86_400 * 365),
        ..Meta::default()
    };
    for (name, kind) in [
        ("null", Kind::CharDevice(Device { major: 1, minor: 3 })),
        ("sda", Kind::BlockDevice(Device { major: 8, minor: 255 })),
        ("fifo", Kind::Fifo),
        ("sock", Kind::Socket),
        ("link", Kind::Symlink(b"/a//b/./../c/".to_vec())),
        ("root", Kind::Symlink(b"/".to_vec())),
    ] {
        tree.insert(format!("dev/{name}").as_bytes(), meta.clone(), kind, &base())
            .unwrap();
    }
    let image = plan(&tree, &Options::default()).unwrap();
    assert_eq!(extent_of(&image, &tree, "bin/b"), extent_of(&image, &tree, "usr/bin/a"));
    let (block, len) = extent_of(&image, &tree, "z").unwrap();
    let content = image
        .extents()
        .part(block * iso9660_image::BLOCK, len)
        .to_vec()
        .unwrap();
    assert_eq!(content, b"one content");
    check(&tree, &image);
}

#[test]
fn relocated_directories_are_listed_in_their_place() {
    let mut tree = tree(&[("1/2/3/4/5/6/7/8b/9/f", b"2"), ("1/2/3/4/5/6/7/8/f", b"3")]);
    let long: Vec<String> = (1..40).map(|level| level.to_string()).collect();
    tree.insert(
        format!("{}/file", long.join("/")).as_bytes(),
        base(),
        file(b"deep"),
        &base(),
    )
    .unwrap();
    let same = vec!["same"; 30].join("/");
    tree.insert(same.as_bytes(), base(), file(b"same"), &base()).unwrap();
    check(&tree, &plan(&tree, &Options::default()).unwrap());
}

#[test]
fn names_and_targets_up_to_their_limits_arrive() {
    for len in [1, 100, 150, 160, 200, 249, 250, 251, 253] {
        let mut tree = Tree::new(base());
        let name = "n".repeat(len);
        tree.insert(name.as_bytes(), base(), file(b"x"), &base()).unwrap();
        tree.insert(format!("{}x", &name[1..]).as_bytes(), base(), file(b"y"), &base())
            .unwrap();
        let target = Kind::Symlink("t".repeat(len * 4).into_bytes());
        tree.insert(b"long link", base(), target, &base()).unwrap();
        let target = Kind::Symlink("../a/./bc".repeat(len).into_bytes()[..len * 4].to_vec());
        tree.insert(b"steps", base(), target, &base()).unwrap();
        check(&tree, &plan(&tree, &Options::default()).unwrap());
    }
    // xorriso reads no targets above 1,024 bytes.
    for len in [1_025, 1_900, 2_048, 3_000, 4_095] {
        let mut tree = Tree::new(base());
        let target = "abc/defg".repeat(len).into_bytes()[..len].to_vec();
        tree.insert(b"steps", base(), Kind::Symlink(target), &base()).unwrap();
        tree.insert(b"one", base(), Kind::Symlink(vec![b'o'; len]), &base())
            .unwrap();
        let image = plan(&tree, &Options::default()).unwrap();
        assert_eq!(bsdtar(&OnDisk::new(&image)), expected(&tree), "{len}");
    }
}

#[test]
fn nodes_beyond_the_limits_are_refused_by_name() {
    let refused = |path: &str, kind: Kind| {
        let mut tree = Tree::new(base());
        tree.insert(path.as_bytes(), base(), kind, &base()).unwrap();
        plan(&tree, &Options::default()).unwrap_err()
    };
    let name = "n".repeat(254);
    assert!(matches!(
        refused(&format!("a/{name}"), Kind::Fifo),
        Error::LongName { len: 254, .. }
    ));
    let large = refused("a", Kind::File(Extents::zeros(iso9660_image::MAX_FILE_LEN + 1)));
    assert!(matches!(large, Error::LargeFile { .. }));
    assert!(large.to_string().starts_with("a has "));
    let mut many = Tree::new(base());
    for at in 0..21 {
        let kind = Kind::File(Extents::zeros(iso9660_image::MAX_FILE_LEN));
        many.insert(format!("{at}").as_bytes(), base(), kind, &base()).unwrap();
    }
    assert!(matches!(
        plan(&many, &Options::default()),
        Err(Error::LargeImage { .. })
    ));
    let options = set(Options::default(), |o| o.volume_id = "\u{fc}".into());
    assert!(matches!(
        plan(&tree(&[]), &options),
        Err(Error::Text { field: "volume id", .. })
    ));
}

#[test]
fn too_many_directories_are_refused_and_as_many_as_fit_are_quick() {
    let mut tree = Tree::new(base());
    for at in 0..65_534 {
        tree.insert(format!("{at}").as_bytes(), base(), Kind::directory(), &base())
            .unwrap();
    }
    plan(&tree, &Options::default()).unwrap();
    tree.insert(b"more", base(), Kind::directory(), &base()).unwrap();
    assert!(matches!(
        plan(&tree, &Options::default()),
        Err(Error::ManyDirectories { count: 65_536 })
    ));
}

#[test]
fn a_file_of_5_gib_has_two_sections() {
    let mut content = Extents::zeros(5 << 30);
    content.put_bytes((5 << 30) - 4, *b"last");
    content.put_bytes(iso9660_image::SECTION - 2, *b"seam");
    let mut tree = tree(&[("after", b"x")]);
    tree.insert(b"Large", base(), Kind::File(content), &base()).unwrap();
    tree.insert(
        b"exact",
        base(),
        Kind::File(Extents::zeros(iso9660_image::SECTION)),
        &base(),
    )
    .unwrap();
    let image = plan(&tree, &Options::default()).unwrap();
    let disk = OnDisk::new(&image);
    let list = run("isoinfo", &["-R", "-l", "-i", "{}"], &disk);
    assert!(list.contains("4294965248"), "{list}");
    let text = xorriso(&["-find", "/", "-type", "f", "-exec", "report_lba", "--"], &disk);
    let extents: Vec<&str> = text.lines().filter(|line| line.contains("'/Large'")).collect();
    assert_eq!(extents.len(), 2, "{text}");
    let (block, len) = extent_of(&image, &tree, "Large").unwrap();
    assert_eq!(len, 5 << 30);
    let seam = image
        .extents()
        .part(block * iso9660_image::BLOCK + iso9660_image::SECTION - 2, 4);
    assert_eq!(seam.to_vec().unwrap(), b"seam");
}

#[test]
fn a_plain_reader_finds_mangled_names() {
    let tree = tree(&[
        ("boot/isolinux/isolinux.bin", b"loader"),
        ("boot/kernel", b"kernel"),
        ("a b.c.d", b"x"),
    ]);
    let image = plan(&tree, &Options::default()).unwrap();
    let list = run("isoinfo", &["-f", "-i", "{}"], &OnDisk::new(&image));
    for name in ["/BOOT/ISOLINUX/ISOLINUX.BIN;1", "/BOOT/KERNEL.;1", "/A_B_C.D;1"] {
        assert!(list.lines().any(|line| line == name), "{list}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_listed_completely(tree in random_tree(), joliet: bool) {
        let options = set(Options::default(), |o| o.joliet = joliet);
        let image = plan(&tree, &options).unwrap();
        check(&tree, &image);
        let again = plan(&tree.clone(), &options).unwrap();
        prop_assert!(image.extents().to_vec().unwrap() == again.extents().to_vec().unwrap());
    }
}
