//! Random trees. Formats differ in what times and attributes they hold.

use std::collections::BTreeMap;

use extents::Extents;
use proptest::prelude::*;
use tree::{Device, Kind, Meta, Time, Tree};

use crate::sample::{MTIME, noise, text};

fn name() -> impl Strategy<Value = Vec<u8>> {
    let any_byte = any::<u8>().prop_filter("not in names", |b| !b"\0/".contains(b));
    prop_oneof![
        4 => "[a-e]{1,2}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any_byte, 1..12),
        1 => "[a-zäöü你🦀]{20,60}".prop_map(String::into_bytes),
        1 => "[a-z]{200,255}".prop_map(String::into_bytes),
    ]
    .prop_filter("dots", |name| name != b"." && name != b"..")
}

fn content() -> impl Strategy<Value = Extents> {
    let len = prop_oneof![
        0usize..300,
        (0usize..70, 0usize..3).prop_map(|(blocks, more)| (blocks * 4096 + more).saturating_sub(1)),
        3900usize..4200,
        0usize..300_000,
    ];
    let piece = (len, 0u64..4, 0..4u8).prop_map(|(len, seed, kind)| match kind {
        0 => Extents::from_bytes(noise(len, seed)),
        1 => Extents::from_bytes(vec![0; len]),
        2 => Extents::zeros(len as u64),
        _ => Extents::from_bytes(text(len, seed)),
    });
    prop::collection::vec(piece, 0..4).prop_map(|pieces| {
        let mut all = Extents::new();
        pieces.iter().for_each(|piece| all.push(piece));
        all
    })
}

fn kind() -> impl Strategy<Value = Option<Kind>> {
    let device = (0..4096u32, 0..1u32 << 20).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        8 => content().prop_map(|content| Some(Kind::File(content))),
        3 => Just(Some(Kind::directory())),
        2 => "[a-e/.]{1,20}".prop_map(|target| Some(Kind::Symlink(target.into_bytes()))),
        1 => (0..2048usize).prop_map(|len| Some(Kind::Symlink([b"a".as_slice(), &b"/.".repeat(len)].concat()))),
        1 => device.clone().prop_map(|device| Some(Kind::CharDevice(device))),
        1 => device.prop_map(|device| Some(Kind::BlockDevice(device))),
        1 => Just(Some(Kind::Fifo)),
        1 => Just(Some(Kind::Socket)),
        // A hard link.
        3 => Just(None),
    ]
}

fn metas(time: impl Strategy<Value = Time>) -> impl Strategy<Value = Meta> {
    let id = prop_oneof![Just(0u32), 0..3u32, 0..0xffff_fff0u32];
    (0..0o10000u32, id.clone(), id, time).prop_map(|(mode, uid, gid, time)| Meta {
        uid,
        gid,
        ..Meta::new(mode, time)
    })
}

fn attributes(largest: usize) -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let name = "(trusted|security)\\.[a-c]{1,2}".prop_map(String::into_bytes);
    let value = prop_oneof![
        4 => prop::collection::vec(0u8..3, 0..3),
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0..=largest, any::<u64>()).prop_map(|(len, seed)| noise(len, seed)),
    ];
    prop::collection::btree_map(name, value, 0..4)
}

/// Trees of up to 50 nodes with these times, and attributes of up to `largest_attribute` bytes, three a node.
pub fn trees(time: impl Strategy<Value = Time>, largest_attribute: usize) -> impl Strategy<Value = Tree> {
    let op = (
        prop::collection::vec(name(), 1..6),
        kind(),
        metas(time),
        attributes(largest_attribute),
        any::<prop::sample::Index>(),
    );
    (prop::collection::vec(op, 0..50), any::<bool>()).prop_map(|(ops, with_attributes)| {
        let mut tree = Tree::new(Meta::new(0o755, Time::from_seconds(MTIME)));
        let mut paths: Vec<Vec<u8>> = Vec::new();
        for (path, kind, mut meta, xattrs, pick) in ops {
            let path = path.join(&b'/');
            let parents = Meta::new(0o700, Time::from_seconds(MTIME));
            let Some(kind) = kind else {
                if !paths.is_empty() {
                    // The target may be gone, or be a directory.
                    let _ = tree.link(&path, pick.get(&paths).as_slice(), &parents);
                }
                continue;
            };
            if with_attributes {
                meta.xattrs = xattrs;
            }
            // Links may lead in circles.
            if tree.insert(&path, meta, kind, &parents).is_ok() {
                paths.push(path);
            }
        }
        tree
    })
}
