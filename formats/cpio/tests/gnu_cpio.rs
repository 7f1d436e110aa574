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
        let expected: Vec<u8> = tree.walk().filter(|item| !item.path.is_empty())
            .flat_map(|item| { let mut line = item.path; line.push(b'\n'); line }).collect();
        prop_assert_eq!(String::from_utf8_lossy(&listed), String::from_utf8_lossy(&expected));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = newc_archive::members(&Extents::from_bytes(bytes));
    }
}
