//! Trees as filesystems, checked by e2fsck, debugfs and the ext4-view crate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;

use common::*;
use ext4_image::{BLOCK, Journal, Options, plan};
use extents::Extents;
use proptest::prelude::*;
use tree::{Device, Kind, Meta, Time, Tree};
use uuid::Uuid;

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z0-9]{1,12}".prop_map(String::into_bytes),
        1 => "[äöüßéñ你好🦀 a-z]{1,40}".prop_map(String::into_bytes),
        1 => "[a-z]{200,255}".prop_map(String::into_bytes),
        1 => prop::collection::vec((1u8..=255).prop_filter("a separator", |byte| *byte != b'/'), 1..=255)
            .prop_filter("dots", |name| name != b"." && name != b".."),
    ]
}

fn devices() -> impl Strategy<Value = Device> {
    (
        prop_oneof![0u32..256, 0u32..4096],
        prop_oneof![0u32..256, 0u32..1 << 20],
    )
        .prop_map(|(major, minor)| Device { major, minor })
}

/// Bytes and holes one after the other.
fn sparse() -> impl Strategy<Value = Kind> {
    prop::collection::vec((any::<bool>(), 1u64..30_000), 0..40).prop_map(|parts| {
        let mut content = Extents::new();
        for (bytes, len) in parts {
            if bytes {
                content.push_bytes(vec![7; len as usize]);
            } else {
                content.push_zeros(len);
            }
        }
        Kind::File(content)
    })
}

fn targets(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, len).prop_map(|mut target| {
        // ext4-view does not read a target that has a name of more than 255 bytes.
        target.iter_mut().skip(200).step_by(200).for_each(|byte| *byte = b'/');
        target
    })
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => (0usize..20_000, any::<u8>()).prop_map(|(len, seed)| file(len, seed)),
        2 => sparse(),
        1 => Just(Kind::directory()),
        2 => prop_oneof![targets(1..70), targets(55..65), targets(1..4096)].prop_map(Kind::Symlink),
        1 => devices().prop_map(Kind::CharDevice),
        1 => devices().prop_map(Kind::BlockDevice),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
    ]
}

fn xattrs() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let name = prop_oneof![
        "user\\.[a-z.]{1,20}",
        "trusted\\.[a-z]{1,250}",
        "security\\.[a-z]{1,10}"
    ];
    let bytes = |len| prop::collection::vec(any::<u8>(), 0usize..len);
    let value = prop_oneof![bytes(20), bytes(600)];
    prop_oneof![
        3 => Just(BTreeMap::new()),
        1 => prop::collection::btree_map(name.prop_map(String::into_bytes), value, 1..5),
    ]
}

fn metas() -> impl Strategy<Value = Meta> {
    // ext4-view does not read times whose lower 32 bits are a negative number.
    let seconds = (0i64..1 << 31, 0i64..3).prop_map(|(low, epoch)| epoch << 32 | low);
    (
        0u32..0o10000,
        any::<u32>(),
        any::<u32>(),
        seconds,
        0u32..1_000_000_000,
        xattrs(),
    )
        .prop_map(|(mode, uid, gid, seconds, nanoseconds, xattrs)| Meta {
            mode,
            uid,
            gid,
            mtime: Time { seconds, nanoseconds },
            xattrs,
            ..Meta::default()
        })
}

fn trees() -> impl Strategy<Value = Tree> {
    let path = || prop::collection::vec(names(), 1..6);
    let nodes = prop::collection::vec((path(), metas(), kinds()), 0..60);
    let links = prop::collection::vec((path(), any::<prop::sample::Index>()), 0..8);
    (nodes, links, metas()).prop_map(|(nodes, links, root)| {
        let mut tree = Tree::new(root);
        for (path, meta, kind) in nodes {
            // Loops of symbolic links are refused by the tree.
            let _ = tree.insert(&path.join(&b'/'), meta, kind, &common::meta());
        }
        for (path, target) in links {
            let paths: Vec<Vec<u8>> = tree.walk().map(|named| named.path).collect();
            let _ = tree.link(&path.join(&b'/'), target.get::<Vec<u8>>(&paths), &common::meta());
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees(tree in trees(), boot: bool, journal: bool, label in "[ -~]{0,16}", uuid: Option<u128>) {
        let options = set(Options::default(), |o| { o.label = label; o.uuid = uuid.map(Uuid::from_u128); o.boot = boot; o.journal = if journal { Journal::Auto } else { Journal::None }; o.time = Time::from_seconds(MTIME); });
        check(&tree, &options);
    }

    #[test]
    fn random_sizes(tree in trees(), size in (8u64 << 20)..(3 << 30), boot: bool, ratio in prop::option::of(0u64..1 << 20)) {
        let options = set(Options::default(), |o| { o.size = Some(size); o.boot = boot; o.bytes_per_inode = ratio.map(|ratio| ratio + 8192); });
        let (image, _dir) = check(&tree, &options);
        prop_assert!(image.extents().len() <= size && size - image.extents().len() < 8 << 20, "{size}");
    }
}

#[test]
fn times() {
    let mut tree = Tree::new(meta());
    for (name, seconds) in [
        ("first", i64::MIN),
        ("1960", -315_619_200),
        ("2100", 4_102_444_800),
        ("last", i64::MAX),
    ] {
        let meta = Meta::new(
            0o644,
            Time {
                seconds,
                nanoseconds: 1,
            },
        );
        tree.insert(name.as_bytes(), meta, Kind::Fifo, &common::meta()).unwrap();
    }
    let (_, dir) = planned(&tree, &Options::default());
    let mtime = |path: &str| {
        let text = stat(&dir, path);
        let line = text.lines().find(|line| line.trim().starts_with("mtime")).unwrap();
        line.split_once("--").unwrap().1.trim().to_owned()
    };
    assert_eq!(mtime("first"), "Fri Dec 13 20:45:52 1901");
    assert_eq!(mtime("1960"), "Fri Jan  1 00:00:00 1960");
    assert_eq!(mtime("2100"), "Fri Jan  1 00:00:00 2100");
    assert_eq!(mtime("last"), "Mon Apr  4 16:10:39 2310");
}

/// Fields of `debugfs -R stat`, whose lines have several.
fn stat(dir: &tempfile::TempDir, path: &str) -> String {
    debugfs(&dir.path().join("image"), &format!("stat \"{path}\""))
}

#[test]
fn a_directory_of_thousands() {
    let mut tree = Tree::new(meta());
    // With an index of one level, and of two.
    for (directory, count, width) in [("some", 3000, 10), ("many", 9000, 240)] {
        for index in 0..count {
            put(&mut tree, format!("{directory}/{index:0width$}"), file(0, 0));
        }
    }
    for options in [Options::default(), set(Options::default(), |o| o.boot = true)] {
        let (_, dir) = check(&tree, &options);
        let dump = debugfs(&dir.path().join("image"), "htree_dump many");
        assert!(dump.contains("Indirect levels: 1"), "{dump}");
        assert!(dump.contains("Hash Version: 1"), "{dump}");
        let dump = debugfs(&dir.path().join("image"), "htree_dump some");
        assert!(dump.contains("Indirect levels: 0"), "{dump}");
        // debugfs finds names by their hashes, ours or none.
        let hash = debugfs(&dir.path().join("image"), "ls -l some/0000000777");
        assert!(!hash.contains("not found"), "{hash}");
    }
}

#[test]
fn colliding_hashes() {
    let mut tree = Tree::new(meta());
    for index in 0..150_000 {
        put(&mut tree, format!("large/{index}"), Kind::Fifo);
    }
    planned(&tree, &Options::default());
}

#[test]
fn directories_in_a_directory() {
    let mut tree = Tree::new(meta());
    for index in 0..65_100 {
        put(&mut tree, format!("above/{index}"), Kind::directory());
    }
    put(&mut tree, "lost+found/kept", file(5, 5));
    let (_, dir) = planned(&tree, &Options::default());
    assert!(stat(&dir, "/above").contains("Links: 1 "), "{}", stat(&dir, "/above"));
    assert!(stat(&dir, "/lost+found").contains("Inode: 11 "));
}

#[test]
fn a_deep_path() {
    let mut tree = Tree::new(meta());
    let path = vec!["a"; 1500].join("/");
    put(&mut tree, path, file(100, 2));
    planned(&tree, &Options::default());
}

#[test]
fn large_and_sparse() {
    let mut tree = Tree::new(meta());
    put(&mut tree, "zeros", Kind::File(Extents::zeros(5 << 30)));
    let mut content = Extents::zeros(5 << 30);
    for at in 0..3000 {
        content.put_bytes(at * 3 * BLOCK + 100, vec![9; 10]);
    }
    content.put_bytes((5 << 30) - 1, vec![1]);
    put(&mut tree, "some", Kind::File(content));
    let mut holes = Extents::zeros(ext4_image::MAX_FILE_LEN);
    holes.put_bytes(ext4_image::MAX_FILE_LEN - 1, vec![1]);
    put(&mut tree, "largest", Kind::File(holes));
    let (image, dir) = check(&tree, &Options::default());
    assert!(image.extents().len() < 16 << 20);
    assert_eq!(extents_of(&image, &tree, "some").len(), 3001);
    assert_eq!(extents_of(&image, &tree, "zeros").len(), 0);
    let extents = debugfs(&dir.path().join("image"), "dump_extents some");
    assert!(extents.contains("0/ 2"), "{extents}");
}

/// A file with more runs than two levels of an extent tree hold.
#[test]
fn a_deep_extent_tree() {
    let mut tree = Tree::new(meta());
    let runs = 4 * 340 * 340 / 100;
    let mut content = Extents::new();
    for _ in 0..runs {
        content.push_bytes(vec![9; BLOCK as usize]);
        content.push_zeros(BLOCK);
    }
    put(&mut tree, "comb", Kind::File(content));
    let (image, dir) = check(&tree, &Options::default());
    assert_eq!(extents_of(&image, &tree, "comb").len(), runs);
    let extents = debugfs(&dir.path().join("image"), "dump_extents -n comb");
    assert!(extents.contains("2"), "{extents}");
}

/// Files that continue after the copies and tables of groups.
#[test]
fn over_many_groups() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let host = std::fs::File::create(&source).unwrap();
    host.set_len(3 << 30).unwrap();
    let mut tree = Tree::new(meta());
    for (name, len) in [("a", 700 << 20), ("b", 1 << 30), ("c", 900 << 20)] {
        let blob = std::sync::Arc::new(extents::FileBlob::open(&source).unwrap());
        let slice = extents::Slice::new(blob, 0, len).unwrap();
        put(&mut tree, name, Kind::File(Extents::from_slice(slice)));
    }
    for options in [
        set(Options::default(), |o| o.journal = Journal::Auto),
        set(Options::default(), |o| o.boot = true),
    ] {
        let image = plan(&tree, &options).unwrap();
        assert!(image.extents().len() < 2700 << 20, "{}", image.extents().len());
        let dir = tempfile::tempdir().unwrap();
        // The content is zeros: no need to write it.
        let path = dir.path().join("image");
        extents::emit::to_path(&metadata(&image), &path).unwrap();
        fsck(&path);
        let dump = run("dumpe2fs", &[path.to_str().unwrap()]);
        assert!(dump.contains("Group 19:") || dump.contains("Group 20:"), "{dump}");
    }
}

/// An image without slices.
fn metadata(image: &ext4_image::Image) -> Extents {
    let mut only = Extents::zeros(image.extents().len());
    for extent in image.extents().extents() {
        if let extents::Data::Bytes { .. } = extent.data() {
            only.put(
                extent.offset(),
                &image.extents().part(extent.offset(), extent.data().len()),
            );
        }
    }
    only
}

#[test]
fn attributes_devices_and_times() {
    let mut tree = Tree::new(meta());
    // debugfs prints 0 for entries without id, where programs have 0xffffffff.
    let acl_found: Vec<u8> = [
        2u32.to_le_bytes().to_vec(),
        vec![1, 0, 7, 0, 0, 0, 0, 0],
        vec![2, 0, 5, 0, 0xe8, 3, 0, 0],
        vec![4, 0, 5, 0, 0, 0, 0, 0],
        vec![0x10, 0, 5, 0, 0, 0, 0, 0],
        vec![0x20, 0, 4, 0, 0, 0, 0, 0],
    ]
    .concat();
    let capability = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let large = vec![b'x'; 3000];
    let acl: Vec<u8> = [
        2u32.to_le_bytes().to_vec(),
        vec![1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff],
        vec![2, 0, 5, 0, 0xe8, 3, 0, 0],
        vec![4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff],
        vec![0x10, 0, 5, 0, 0xff, 0xff, 0xff, 0xff],
        vec![0x20, 0, 4, 0, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    let mut with = meta();
    with.mtime = Time {
        seconds: 4_102_444_800,
        nanoseconds: 123_456_789,
    };
    with.xattrs = BTreeMap::from([
        (b"security.capability".to_vec(), capability.clone()),
        (b"user.large".to_vec(), large.clone()),
        (b"system.posix_acl_access".to_vec(), acl),
        (b"trusted.empty".to_vec(), Vec::new()),
    ]);
    tree.insert(b"file", with, file(10, 1), &meta()).unwrap();
    tree.link(b"other", b"file", &meta()).unwrap();
    let old = Device { major: 5, minor: 1 };
    let new = Device {
        major: 259,
        minor: 70_000,
    };
    put(&mut tree, "old", Kind::CharDevice(old));
    put(&mut tree, "new", Kind::BlockDevice(new));
    put(&mut tree, "long", Kind::Symlink(vec![b'l'; 60]));
    put(&mut tree, "short", Kind::Symlink(vec![b's'; 59]));
    let (image, dir) = planned(&tree, &Options::default());
    let path = dir.path().join("image");
    let out = dir.path().join("value");
    for (name, value) in [
        ("security.capability", &capability),
        ("user.large", &large),
        ("system.posix_acl_access", &acl_found),
        ("trusted.empty", &Vec::new()),
    ] {
        let text = debugfs(&path, &format!("ea_get -f {} file {name}", out.to_str().unwrap()));
        assert_eq!(std::fs::read(&out).unwrap(), *value, "{name}: {text}");
    }
    let text = stat(&dir, "file");
    assert!(text.contains("Links: 2 "), "{text}");
    assert!(text.contains(&format!("{:08x}", 123_456_789u32 << 2 | 1)), "{text}");
    assert!(stat(&dir, "old").contains("Device major/minor number: 05:01"));
    assert!(
        stat(&dir, "new").contains("Device major/minor number: 259:70000"),
        "{}",
        stat(&dir, "new")
    );
    assert!(stat(&dir, "short").contains("Fast link dest"));
    assert!(!stat(&dir, "long").contains("Fast link dest"));
    assert_eq!(extents_of(&image, &tree, "other"), extents_of(&image, &tree, "file"));
}

#[test]
fn names_of_every_length() {
    let mut tree = Tree::new(meta());
    for len in 1..=255 {
        put(&mut tree, "n".repeat(len), file(len, 1));
        put(&mut tree, "linux/".to_owned() + &"ü".repeat(len / 2), file(len, 1));
    }
    check(&tree, &Options::default());
}

#[test]
fn debugfs_dumps_the_tree() {
    let mut tree = Tree::new(meta());
    for index in 0..400 {
        let path = format!("directory {}/sub/file {index}", index % 7);
        put(&mut tree, path, file(index * 100, index as u8));
    }
    let (_, dir) = check(&tree, &Options::default());
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    debugfs(&dir.path().join("image"), &format!("rdump / {}", out.to_str().unwrap()));
    for named in tree.walk() {
        if let Kind::File(content) = &named.node.kind {
            let path = out.join(std::str::from_utf8(&named.path).unwrap());
            assert!(std::fs::read(path).unwrap() == content.to_vec().unwrap());
        }
    }
}
