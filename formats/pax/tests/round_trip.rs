//! What is planned is read back, by ourselves and by the tar crate. (There are no newlines in
//! names and attributes: the tar crate takes each for the end of a record.)

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
        let archive = pax::plan(&tree).unwrap();
        let read: Vec<_> = pax::entries(&archive).collect::<Result<_, _>>().unwrap();
        let expected: Vec<_> = tree.walk().filter(|item| !item.path.is_empty()).collect();
        prop_assert_eq!(read.len(), expected.len());
        for (entry, item) in read.iter().zip(&expected) {
            prop_assert_eq!(&entry.path, &item.path);
            prop_assert_eq!(&entry.meta, &item.node.meta);
            let pax::Body::Node(kind) = &entry.body else {
                panic!("{:?} is a link", entry.path);
            };
            match (kind, &item.node.kind) {
                (Kind::File(a), Kind::File(b)) => prop_assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap()),
                (Kind::Symlink(a), Kind::Symlink(b)) => prop_assert_eq!(a, b),
                (Kind::CharDevice(a), Kind::CharDevice(b)) => prop_assert_eq!(a, b),
                (Kind::BlockDevice(a), Kind::BlockDevice(b)) => prop_assert_eq!(a, b),
                (Kind::Directory(_), Kind::Directory(_)) | (Kind::Fifo, Kind::Fifo) => {}
                (a, b) => prop_assert!(false, "{a:?} is not {b:?}"),
            }
        }
        let mut foreign = tar::Archive::new(archive.reader());
        let mut names = Vec::new();
        for entry in foreign.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(entry.path_bytes().to_vec());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
        }
        prop_assert_eq!(names, expected.iter().map(|item| item.path.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        pax::entries(&Extents::from_bytes(bytes)).for_each(drop);
    }

    #[test]
    fn damage_is_read_without_a_panic(at in 0usize..4096, byte in any::<u8>()) {
        let parents = Meta::new(0o755, Time::from_seconds(1));
        let mut tree = Tree::new(parents.clone());
        let mut meta = parents.clone();
        meta.xattrs.insert(b"user.x".to_vec(), b"y".to_vec());
        tree.insert(b"a/file", meta, Kind::File(Extents::from_bytes(*b"content")), &parents).unwrap();
        let mut bytes = pax::plan(&tree).unwrap().to_vec().unwrap();
        if let Some(hit) = bytes.get_mut(at) { *hit = byte; }
        pax::entries(&Extents::from_bytes(bytes)).for_each(drop);
    }
}

#[test]
fn hard_links_name_the_entry_with_the_content() {
    let parents = Meta::new(0o755, Time::from_seconds(1));
    let mut tree = Tree::new(parents.clone());
    let content = Kind::File(Extents::from_bytes(*b"content"));
    tree.insert(b"z", parents.clone(), content, &parents).unwrap();
    tree.link(b"a", b"z", &parents).unwrap();
    let archive = pax::plan(&tree).unwrap();
    let read: Vec<_> = pax::entries(&archive).collect::<Result<_, _>>().unwrap();
    let links: Vec<_> = read
        .iter()
        .filter(|entry| matches!(entry.body, pax::Body::Link(_)))
        .collect();
    assert_eq!(links.len(), 1);
    let pax::Body::Link(target) = &links[0].body else {
        unreachable!()
    };
    assert!(
        read.iter()
            .any(|entry| &entry.path == target && matches!(entry.body, pax::Body::Node(Kind::File(_))))
    );
}
