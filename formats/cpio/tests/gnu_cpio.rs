//! Planned archives, listed and unpacked by GNU cpio (Debian package `cpio`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use extents::{Extents, emit};
use proptest::prelude::*;
use tree::{Device, Kind, Meta, Time, Tree};

fn cpio(arguments: &[&str], directory: &std::path::Path, archive: &Extents) -> Vec<u8> {
    let mut child = Command::new("cpio")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cpio is missing: apt-get install cpio");
    let mut input = child.stdin.take().unwrap();
    let mut bytes = Vec::new();
    emit::stream(archive, &mut bytes).unwrap();
    let feed = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap().ok();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn base() -> Meta {
    Meta::new(0o755, Time::from_seconds(1_492_533_000))
}

#[test]
fn names_links_and_contents_arrive() {
    let mut tree = Tree::new(Meta {
        implied: true,
        ..base()
    });
    let content = Kind::File(Extents::from_bytes(*b"one content"));
    tree.insert(b"usr/bin/a", base(), content, &base()).unwrap();
    tree.link(b"bin/b", b"usr/bin/a", &base()).unwrap();
    tree.link(b"z", b"usr/bin/a", &base()).unwrap();
    tree.insert(b"link", base(), Kind::Symlink(b"usr/bin/a".to_vec()), &base())
        .unwrap();
    let archive = newc_archive::plan(&tree).unwrap();
    assert_eq!(archive.len() % 512, 0);
    let directory = tempfile::tempdir().unwrap();
    cpio(&["-id", "--quiet", "--no-preserve-owner"], directory.path(), &archive);
    for name in ["usr/bin/a", "bin/b", "z", "link"] {
        assert_eq!(
            std::fs::read(directory.path().join(name)).unwrap(),
            b"one content",
            "{name}"
        );
    }
    let (members, end) = newc_archive::members(&archive).unwrap();
    assert!(end <= archive.len());
    let links: Vec<_> = members.iter().filter(|member| member.nlink == 3).collect();
    assert_eq!(links.len(), 3);
    assert!(links.iter().all(|member| member.inode == links[0].inode));
    assert_eq!(
        links.iter().map(|member| member.content.len()).collect::<Vec<_>>(),
        [0, 0, 11]
    );
}

/// Plans a tree of many files, large ones, and hard links, with the files named in `more`.
fn pieces(more: &[(&str, usize)]) -> Vec<Vec<u8>> {
    let mut tree = Tree::new(base());
    let mut put = |name: &str, len: usize| {
        let content = Extents::from_bytes(vec![name.len() as u8; len]);
        tree.insert(name.as_bytes(), base(), Kind::File(content), &base())
            .unwrap();
    };
    for index in 0..3000usize {
        put(
            &format!("usr/lib/{:02}/file{index}", index % 50),
            [10, 2000, 9000][index % 3],
        );
    }
    put("usr/lib/07/large", 3_000_000);
    more.iter().for_each(|(name, len)| put(name, *len));
    for index in 0..20 {
        let (name, old) = (format!("bin/link{index}"), format!("usr/lib/{index:02}/file{index}"));
        tree.link(name.as_bytes(), old.as_bytes(), &base()).unwrap();
    }
    let archive = newc_archive::plan_pieces(&tree).unwrap();
    assert_eq!(archive.pieces.last(), Some(&archive.content.len()));
    let starts = std::iter::once(&0).chain(&archive.pieces);
    starts
        .zip(&archive.pieces)
        .map(|(start, end)| archive.content.part(*start, end - start).to_vec().unwrap())
        .collect()
}

#[test]
fn a_new_file_changes_few_pieces() {
    let before = pieces(&[]);
    assert!(before.len() > 30, "{}", before.len());
    assert!(before.iter().any(|piece| piece.len() == 3_000_000));
    assert!(before.iter().filter(|piece| piece.len() > 1_100_000).count() == 1);
    for more in [
        ("usr/lib/23/fill", 100),
        ("usr/lib/07/large2", 60_000),
        ("aa", 1),
        ("zz", 1),
    ] {
        let after = pieces(&[more]);
        let changed = after.iter().filter(|piece| !before.contains(piece)).count();
        assert!((1..=3).contains(&changed), "{more:?}: {changed} of {}", after.len());
    }
}

#[test]
fn only_hard_links_have_inode_numbers() {
    let mut tree = Tree::new(base());
    for name in ["a", "b", "c", "d"] {
        let content = Kind::File(Extents::from_bytes(name.as_bytes()));
        tree.insert(name.as_bytes(), base(), content, &base()).unwrap();
    }
    tree.insert(b"dir", base(), Kind::directory(), &base()).unwrap();
    tree.link(b"dir/a", b"a", &base()).unwrap();
    tree.link(b"dir/b", b"b", &base()).unwrap();
    let (members, _) = newc_archive::members(&newc_archive::plan(&tree).unwrap()).unwrap();
    let inode = |name: &str| {
        let member = members.iter().find(|member| member.name == name.as_bytes()).unwrap();
        assert_eq!(member.inode == 0, member.nlink == 1, "{name}");
        member.inode
    };
    assert_eq!(inode("a"), inode("dir/a"));
    assert_eq!(inode("b"), inode("dir/b"));
    assert_ne!(inode("a"), inode("b"));
    for name in [".", "c", "d", "dir"] {
        assert_eq!(inode(name), 0, "{name}");
    }
}

#[test]
fn a_file_of_4_gib_is_refused_by_name() {
    let mut tree = Tree::new(Meta {
        implied: true,
        ..base()
    });
    tree.insert(b"big/file", base(), Kind::File(Extents::zeros(1 << 32)), &base())
        .unwrap();
    let error = newc_archive::plan(&tree).unwrap_err().to_string();
    assert!(error.contains("big/file") && error.contains("4294967296"), "{error}");
    let mut tree = Tree::new(Meta {
        implied: true,
        ..base()
    });
    tree.insert(b"big", base(), Kind::File(Extents::zeros((1 << 32) - 1)), &base())
        .unwrap();
    newc_archive::plan(&tree).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn gnu_cpio_lists_the_same_names(names in prop::collection::btree_set("[a-zA-Z0-9é_.-]{1,60}(/[a-z]{1,9}){0,3}", 0..20)) {
        let mut tree = Tree::new(Meta { implied: true, ..base() });
        for (at, name) in names.iter().enumerate() {
            let kind = match at % 4 {
                0 => Kind::File(Extents::from_bytes(vec![b'x'; at * 37])),
                1 => Kind::Symlink(name.clone().into_bytes()),
                2 => Kind::CharDevice(Device { major: 1, minor: at as u32 }),
                _ => Kind::directory(),
            };
            let _ = tree.insert(name.as_bytes(), base(), kind, &base());
        }
        let archive = newc_archive::plan(&tree).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let listed = cpio(&["-it", "--quiet"], directory.path(), &archive);
        let expected: Vec<u8> = tree.walk().filter(|named| !named.path.is_empty())
            .flat_map(|named| { let mut line = named.path; line.push(b'\n'); line }).collect();
        prop_assert_eq!(String::from_utf8_lossy(&listed), String::from_utf8_lossy(&expected));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = newc_archive::members(&Extents::from_bytes(bytes));
    }
}
