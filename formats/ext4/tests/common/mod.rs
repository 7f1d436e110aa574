//! What the tests share: trees, and judges.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use ext4::{Image, Options, plan};
use ext4_view::{Ext4, FileType};
use extents::{Extents, emit};
use tree::{Kind, Meta, NodeId, Time, Tree};

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

/// Runs a program of e2fsprogs, which are often not in the path of a user.
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

/// `e2fsck -fn` has nothing to say but its passes and its summary.
pub fn fsck(image: &Path) {
    let text = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert!(text.lines().count() == 6, "{text}");
}

/// Plans twice, compares, and has e2fsck judge; the folder has the filesystem as `image`.
pub fn made(tree: &Tree, options: &Options) -> (Image, tempfile::TempDir) {
    let image = plan(tree, options).unwrap();
    let again = plan(tree, options).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    emit::to_path(image.extents(), &path).unwrap();
    fsck(&path);
    same(image.extents(), again.extents());
    (image, dir)
}

/// Compares what stands in two images, zeros left out.
fn same(one: &Extents, two: &Extents) {
    assert_eq!(one.len(), two.len());
    assert_eq!(one.extents().len(), two.extents().len());
    for (a, b) in one.extents().iter().zip(two.extents()) {
        assert_eq!((a.offset(), a.data().len()), (b.offset(), b.data().len()));
        let len = a.data().len().min(1 << 16);
        assert!(one.part(a.offset(), len).to_vec().unwrap() == two.part(a.offset(), len).to_vec().unwrap());
    }
}

/// Fields of `debugfs -R stat` and of `dumpe2fs -h`.
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

/// The ext4-view crate finds what is in the tree, and nothing else but lost+found.
pub fn compare(tree: &Tree, image: &Image) {
    let fs = Ext4::load(Box::new(Disk(image.extents().clone()))).unwrap();
    let mut found: BTreeMap<Vec<u8>, ()> = BTreeMap::new();
    let mut folders = vec![Vec::new()];
    while let Some(folder) = folders.pop() {
        let at = [b"/".to_vec(), folder.clone()].concat();
        for entry in fs.read_dir(at.as_slice()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if [&b"."[..], b".."].contains(&name.as_ref()) {
                continue;
            }
            let path = if folder.is_empty() {
                name.as_ref().to_vec()
            } else {
                [folder.as_slice(), name.as_ref()].join(&b'/')
            };
            if entry.file_type().unwrap() == FileType::Directory {
                folders.push(path.clone());
            }
            found.insert(path, ());
        }
    }
    for item in tree.walk() {
        let path = [&b"/"[..], &item.path].concat();
        let meta = fs.symlink_metadata(path.as_slice()).unwrap();
        assert_eq!(u32::from(meta.mode() & 0o7777), item.node.meta.mode & 0o7777);
        assert_eq!((meta.uid(), meta.gid()), (item.node.meta.uid, item.node.meta.gid));
        let modified = meta.modified();
        let mtime = item.node.meta.mtime;
        assert_eq!(
            (modified.seconds(), modified.nanoseconds()),
            (mtime.seconds, mtime.nanoseconds)
        );
        let kind = match &item.node.kind {
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
        assert!(item.path.is_empty() || found.remove(&item.path).is_some());
        if let Kind::File(content) = &item.node.kind {
            stands(image, &item.path, content);
        }
    }
    found.remove(&b"lost+found"[..]);
    assert!(found.is_empty(), "{found:?}");
}

/// The content of a file is where the image says.
fn stands(image: &Image, path: &[u8], content: &Extents) {
    let runs = image.runs_of(path).unwrap();
    for run in runs.iter().take(20) {
        let len = (content.len() - run.logical * ext4::BLOCK).min((run.count * ext4::BLOCK).min(1 << 20));
        let there = image.extents().part(run.first * ext4::BLOCK, len);
        let want = content.part(run.logical * ext4::BLOCK, len);
        assert!(there.to_vec().unwrap() == want.to_vec().unwrap());
    }
    if let Some((sector, len)) = image.extent_of(path) {
        assert_eq!((runs[0].first * 8, content.len()), (sector, len));
    }
}

/// What each test of a tree does.
pub fn check(tree: &Tree, options: &Options) -> (Image, tempfile::TempDir) {
    let (image, dir) = made(tree, options);
    compare(tree, &image);
    (image, dir)
}
