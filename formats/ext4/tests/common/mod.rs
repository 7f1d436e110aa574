//! Trees, options and checkers that the tests share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use ext4_image::{Image, Options, plan};
use ext4_view::{Ext4, FileType};
use extents::{Extents, emit};
use tree::{FileExtent, Kind, Meta, NodeId, Time, Tree};

/// Options after a change.
pub fn set(mut options: Options, change: impl FnOnce(&mut Options)) -> Options {
    change(&mut options);
    options
}

pub const MTIME: i64 = 1_700_000_000;

pub fn meta() -> Meta {
    Meta::new(0o644, Time::from_seconds(MTIME))
}

pub fn put(tree: &mut Tree, path: impl AsRef<[u8]>, kind: Kind) -> NodeId {
    tree.insert(path.as_ref(), meta(), kind, &meta()).unwrap()
}

pub fn file(len: usize, seed: u8) -> Kind {
    let bytes: Vec<u8> = (0..len)
        .map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ seed | 1)
        .collect();
    Kind::File(Extents::from_bytes(bytes))
}

/// Runs a program of e2fsprogs, also from /usr/sbin, which users often lack in their PATH.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let out = Command::new("/usr/bin/env")
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .arg(program)
        .args(arguments)
        .output()
        .expect("e2fsprogs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    text
}

/// Asserts that `e2fsck -fn` prints nothing but its passes and its summary.
pub fn fsck(image: &Path) {
    let text = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert!(text.lines().count() == 6, "{text}");
}

/// Plans twice, compares and runs e2fsck; the directory holds the filesystem as `image`.
pub fn planned(tree: &Tree, options: &Options) -> (Image, tempfile::TempDir) {
    let image = plan(tree, options).unwrap();
    let again = plan(tree, options).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    emit::to_path(image.extents(), &path).unwrap();
    fsck(&path);
    same(image.extents(), again.extents());
    (image, dir)
}

/// Compares two images, without reading their zeros.
fn same(one: &Extents, two: &Extents) {
    assert_eq!(one.len(), two.len());
    assert_eq!(one.extents().len(), two.extents().len());
    for (a, b) in one.extents().iter().zip(two.extents()) {
        assert_eq!((a.offset(), a.data().len()), (b.offset(), b.data().len()));
        let len = a.data().len().min(1 << 16);
        assert!(one.part(a.offset(), len).to_vec().unwrap() == two.part(a.offset(), len).to_vec().unwrap());
    }
}

/// Parses fields of `debugfs -R stat` and of `dumpe2fs -h`.
pub fn fields(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

pub fn debugfs(image: &Path, request: &str) -> String {
    run("debugfs", &["-R", request, image.to_str().unwrap()])
}

struct Disk(Extents);

impl ext4_view::Ext4Read for Disk {
    fn read(&mut self, start: u64, buf: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.read_exact_at(buf, start).map_err(Into::into)
    }
}

/// Asserts that the ext4-view crate finds the nodes of the tree, and nothing else but lost+found.
pub fn compare(tree: &Tree, image: &Image) {
    let fs = Ext4::load(Box::new(Disk(image.extents().clone()))).unwrap();
    let mut found: BTreeMap<Vec<u8>, ()> = BTreeMap::new();
    let mut directories = vec![Vec::new()];
    while let Some(directory) = directories.pop() {
        let at = [b"/".to_vec(), directory.clone()].concat();
        for entry in fs.read_dir(at.as_slice()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if [&b"."[..], b".."].contains(&name.as_ref()) {
                continue;
            }
            let path = if directory.is_empty() {
                name.as_ref().to_vec()
            } else {
                [directory.as_slice(), name.as_ref()].join(&b'/')
            };
            if entry.file_type().unwrap() == FileType::Directory {
                directories.push(path.clone());
            }
            found.insert(path, ());
        }
    }
    for named in tree.walk() {
        let path = [&b"/"[..], &named.path].concat();
        let meta = fs.symlink_metadata(path.as_slice()).unwrap();
        assert_eq!(u32::from(meta.mode() & 0o7777), named.node.meta.mode & 0o7777);
        assert_eq!((meta.uid(), meta.gid()), (named.node.meta.uid, named.node.meta.gid));
        let modified = meta.modified();
        let mtime = named.node.meta.mtime;
        assert_eq!(
            (modified.seconds(), modified.nanoseconds()),
            (mtime.seconds, mtime.nanoseconds)
        );
        let kind = match &named.node.kind {
            Kind::Directory(_) => FileType::Directory,
            Kind::File(content) => {
                assert_eq!(meta.len(), content.len());
                if content.len() < 16 << 20 {
                    assert!(fs.read(path.as_slice()).unwrap() == content.to_vec().unwrap());
                }
                FileType::Regular
            }
            Kind::Symlink(target) => {
                assert_eq!(fs.read_link(path.as_slice()).unwrap().as_ref(), target.as_slice());
                FileType::Symlink
            }
            Kind::CharDevice(_) => FileType::CharacterDevice,
            Kind::BlockDevice(_) => FileType::BlockDevice,
            Kind::Fifo => FileType::Fifo,
            Kind::Socket => FileType::Socket,
        };
        assert_eq!(meta.file_type(), kind);
        assert!(named.path.is_empty() || found.remove(&named.path).is_some());
        if let Kind::File(content) = &named.node.kind {
            check_extents(image, named.id, content);
        }
    }
    found.remove(&b"lost+found"[..]);
    assert!(found.is_empty(), "{found:?}");
}

/// Asserts that the content of a file is at its extents.
fn check_extents(image: &Image, node: NodeId, content: &Extents) {
    for extent in image.file_extents(node).take(20) {
        let len = extent.len.min(1 << 20);
        let found = image.extents().part(extent.physical, len);
        let expected = content.part(extent.logical, len);
        assert!(found.to_vec().unwrap() == expected.to_vec().unwrap());
    }
}

/// Extents of the file at a path.
pub fn extents_of(image: &Image, tree: &Tree, path: &str) -> Vec<FileExtent> {
    image.file_extents(tree.lookup(path.as_bytes()).unwrap()).collect()
}

/// Plans a filesystem, and checks it with all readers.
pub fn check(tree: &Tree, options: &Options) -> (Image, tempfile::TempDir) {
    let (image, dir) = planned(tree, options);
    compare(tree, &image);
    (image, dir)
}
