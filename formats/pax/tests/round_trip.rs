//! Planned archives, read back by this crate and by the tar crate. (Names and attributes have no
//! newlines, since the tar crate takes each for the end of a record.)

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;

use extents::Extents;
use proptest::prelude::*;
use tree::{Device, Kind, Meta, Time, Tree};

fn meta() -> impl Strategy<Value = Meta> {
    let xattrs = prop::collection::btree_map(
        "user\\.[a-z]{1,8}".prop_map(String::into_bytes),
        prop::collection::vec(11u8.., 1..40),
        0..3,
    );
    (
        0..0o10000u32,
        any::<u32>(),
        any::<u32>(),
        -10_000_000_000i64..40_000_000_000,
        0..1_000_000_000u32,
        xattrs,
    )
        .prop_map(|(mode, uid, gid, seconds, nanoseconds, xattrs)| Meta {
            mode,
            uid,
            gid,
            mtime: Time { seconds, nanoseconds },
            xattrs,
            records: None,
            implied: false,
            source: 0,
        })
}

fn kind() -> impl Strategy<Value = Kind> {
    let device = (0..4096u32, 0..0o777_7777u32).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        Just(Kind::directory()),
        prop::collection::vec(any::<u8>(), 0..2000).prop_map(|bytes| Kind::File(Extents::from_bytes(bytes))),
        "[a-zA-Z0-9/.é]{1,150}".prop_map(|target| Kind::Symlink(target.into_bytes())),
        device.clone().prop_map(Kind::CharDevice),
        device.prop_map(Kind::BlockDevice),
        Just(Kind::Fifo),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..120), 1..4).prop_map(|parts| {
        let parts: Vec<Vec<u8>> = parts
            .into_iter()
            .map(|part| {
                part.into_iter()
                    .map(|byte| if b"\0/\n".contains(&byte) { b'_' } else { byte })
                    .collect()
            })
            .map(|part: Vec<u8>| {
                if part == b"." || part == b".." {
                    b"dots".to_vec()
                } else {
                    part
                }
            })
            .collect();
        parts.join(&b'/')
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_tree_survives(entries in prop::collection::vec((path(), meta(), kind()), 0..12)) {
        let parents = Meta::new(0o755, Time::from_seconds(1));
        let mut tree = Tree::new(Meta { implied: true, ..parents.clone() });
        for (path, meta, kind) in entries {
            // A symbolic link among the parents may lead out or in circles.
            let _ = tree.insert(&path, meta, kind, &parents);
        }
        let archive = pax_archive::plan(&tree).unwrap();
        let read: Vec<_> = pax_archive::entries(&archive).collect::<Result<_, _>>().unwrap();
        let expected: Vec<_> = tree.walk().filter(|named| !named.path.is_empty()).collect();
        prop_assert_eq!(read.len(), expected.len());
        for (entry, named) in read.iter().zip(&expected) {
            prop_assert_eq!(&entry.path, &named.path);
            prop_assert_eq!(&entry.meta, &named.node.meta);
            let pax_archive::Body::Node(kind) = &entry.body else {
                panic!("{:?} is a link", entry.path);
            };
            match (kind, &named.node.kind) {
                (Kind::File(a), Kind::File(b)) => prop_assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap()),
                (Kind::Symlink(a), Kind::Symlink(b)) => prop_assert_eq!(a, b),
                (Kind::CharDevice(a), Kind::CharDevice(b)) => prop_assert_eq!(a, b),
                (Kind::BlockDevice(a), Kind::BlockDevice(b)) => prop_assert_eq!(a, b),
                (Kind::Directory(_), Kind::Directory(_)) | (Kind::Fifo, Kind::Fifo) => {}
                (a, b) => prop_assert!(false, "{a:?} is not {b:?}"),
            }
        }
        let mut by_tar_crate = tar::Archive::new(archive.reader());
        let mut names = Vec::new();
        for entry in by_tar_crate.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(entry.path_bytes().to_vec());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
        }
        prop_assert_eq!(names, expected.iter().map(|named| named.path.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        pax_archive::entries(&Extents::from_bytes(bytes)).for_each(drop);
    }

    #[test]
    fn damage_is_read_without_a_panic(at in 0usize..4096, byte in any::<u8>()) {
        let parents = Meta::new(0o755, Time::from_seconds(1));
        let mut tree = Tree::new(parents.clone());
        let mut meta = parents.clone();
        meta.xattrs.insert(b"user.x".to_vec(), b"y".to_vec());
        tree.insert(b"a/file", meta, Kind::File(Extents::from_bytes(*b"content")), &parents).unwrap();
        let mut bytes = pax_archive::plan(&tree).unwrap().to_vec().unwrap();
        if let Some(hit) = bytes.get_mut(at) { *hit = byte; }
        pax_archive::entries(&Extents::from_bytes(bytes)).for_each(drop);
    }
}

#[test]
fn hard_links_name_the_entry_with_the_content() {
    let parents = Meta::new(0o755, Time::from_seconds(1));
    let mut tree = Tree::new(parents.clone());
    let content = Kind::File(Extents::from_bytes(*b"content"));
    tree.insert(b"z", parents.clone(), content, &parents).unwrap();
    tree.link(b"a", b"z", &parents).unwrap();
    let archive = pax_archive::plan(&tree).unwrap();
    let read: Vec<_> = pax_archive::entries(&archive).collect::<Result<_, _>>().unwrap();
    let links: Vec<_> = read
        .iter()
        .filter(|entry| matches!(entry.body, pax_archive::Body::Link(_)))
        .collect();
    assert_eq!(links.len(), 1);
    let pax_archive::Body::Link(target) = &links[0].body else {
        unreachable!()
    };
    assert!(
        read.iter()
            .any(|entry| &entry.path == target && matches!(entry.body, pax_archive::Body::Node(Kind::File(_))))
    );
}

#[test]
fn an_archive_is_unpacked_into_a_tree() {
    let parents = Meta::new(0o755, Time::from_seconds(1));
    let mut tree = Tree::new(Meta::new(0o711, Time::from_seconds(2)));
    let content = Kind::File(Extents::from_bytes(*b"content"));
    tree.insert(b"dir/z", parents.clone(), content, &parents).unwrap();
    tree.link(b"a", b"dir/z", &parents).unwrap();
    tree.insert(b"link", parents.clone(), Kind::Symlink(b"dir".to_vec()), &parents)
        .unwrap();
    let archive = pax_archive::plan(&tree).unwrap();
    let copy = pax_archive::read_tree(&archive).unwrap();
    let facts = |tree: &Tree| -> Vec<_> {
        let fields = |named: tree::NamedNode<'_>| {
            (
                named.path.clone(),
                named.node.meta.clone(),
                named.node.nlink(),
                named.link,
            )
        };
        tree.walk().map(fields).collect()
    };
    assert_eq!(facts(&copy), facts(&tree));
    assert_eq!(
        pax_archive::plan(&copy).unwrap().to_vec().unwrap(),
        archive.to_vec().unwrap()
    );

    let mut outside = Extents::new();
    outside.push(&archive.part(0, 512));
    let mut header = archive.part(512, 512).to_vec().unwrap();
    header[..4].copy_from_slice(b"../x");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    outside.push_bytes(header);
    let error = pax_archive::read_tree(&outside).unwrap_err();
    assert!(
        matches!(&error, pax_archive::ReadTreeError::Entry { path, .. } if path.starts_with(b"../x")),
        "{error}"
    );
}
