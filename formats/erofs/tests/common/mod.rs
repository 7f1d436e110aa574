//! What the tests share: trees, and images on disk judged by fsck.erofs (Debian package
//! `erofs-utils`), which writes the files that it finds.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use erofs::{Compressor, Image, Options, plan};
use extents::{Extents, emit};
use proptest::prelude::*;
use testing::sample::MTIME;
use tree::{Kind, Time, Tree};

pub const COMPRESSORS: [Compressor; 2] = [Compressor::None, Compressor::Lz4];

/// fsck.erofs 1.5 sets the owner last, by which Linux takes set-uid and set-gid away.
const SEEN_MODE: u32 = 0o1777;

pub fn options(compressor: Compressor) -> Options {
    Options {
        compressor,
        jobs: 4,
        time: Time::from_seconds(MTIME),
        ..Options::new(std::env::temp_dir())
    }
}

pub fn run(program: &str, arguments: &[&str], image: &Path) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .arg(image)
        .env("TZ", "UTC")
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program} is missing (erofs-utils): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    let complains = said.contains("<E>") || said.contains("<W>") || !errors.is_empty();
    assert!(
        output.status.success() && !complains,
        "{program} {arguments:?}: {said}{errors}"
    );
    output
}

/// An image in a file, in a folder that is removed with it.
pub struct OnDisk(tempfile::TempDir);

impl OnDisk {
    pub fn new(image: &Image) -> Self {
        let folder = tempfile::tempdir().unwrap();
        emit::to_path(image.extents(), &folder.path().join("image")).unwrap();
        OnDisk(folder)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("image")
    }

    /// The files as fsck.erofs writes them.
    pub fn extract(&self) -> PathBuf {
        let to = self.0.path().join("files");
        run("fsck.erofs", &[&format!("--extract={}", to.display())], &self.path());
        to
    }

    /// Whether files here belong to root, so that owners and devices can be made.
    pub fn is_root(&self) -> bool {
        fs::metadata(self.0.path()).unwrap().uid() == 0
    }
}

/// A file, in words; its content, its target, or its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub facts: String,
    pub content: Vec<u8>,
}

pub type Listing = BTreeMap<Vec<u8>, Seen>;

fn device(major: u32, minor: u32) -> Vec<u8> {
    format!("{major}:{minor}").into_bytes()
}

/// What is to be found, by path.
pub fn expected(tree: &Tree) -> Listing {
    tree.walk()
        .map(|item| {
            let (kind, content) = match &item.node.kind {
                Kind::Directory(_) => ("folder", Vec::new()),
                Kind::File(content) => ("file", content.to_vec().unwrap()),
                Kind::Symlink(target) => ("link", target.clone()),
                Kind::CharDevice(d) => ("char", device(d.major, d.minor)),
                Kind::BlockDevice(d) => ("block", device(d.major, d.minor)),
                Kind::Fifo => ("fifo", Vec::new()),
                Kind::Socket => ("socket", Vec::new()),
            };
            let meta = &item.node.meta;
            let mode = if kind == "link" { 0o777 } else { meta.mode & SEEN_MODE };
            let (uid, gid, time) = (meta.uid, meta.gid, meta.mtime);
            let seen = Seen {
                facts: format!("{kind} {mode:o} {uid}:{gid} {}.{:09}", time.seconds, time.nanoseconds),
                content,
            };
            (item.path, seen)
        })
        .collect()
}

/// What is in a folder of the host, by path.
pub fn found(root: &Path) -> Listing {
    fn visit(host: &Path, path: Vec<u8>, all: &mut Listing) {
        let facts = fs::symlink_metadata(host).unwrap();
        let kind = facts.file_type();
        let rdev = facts.rdev();
        let number = || device((rdev >> 8 & 0xfff) as u32, (rdev & 0xff | rdev >> 12 & 0xf_ff00) as u32);
        let (name, content) = if kind.is_dir() {
            for entry in fs::read_dir(host).unwrap() {
                let entry = entry.unwrap().file_name();
                let mut below = path.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend_from_slice(entry.as_bytes());
                visit(&host.join(&entry), below, all);
            }
            ("folder", Vec::new())
        } else if kind.is_symlink() {
            ("link", fs::read_link(host).unwrap().into_os_string().into_vec())
        } else if kind.is_file() {
            ("file", fs::read(host).unwrap())
        } else if kind.is_char_device() {
            ("char", number())
        } else if kind.is_block_device() {
            ("block", number())
        } else if kind.is_fifo() {
            ("fifo", Vec::new())
        } else {
            ("socket", Vec::new())
        };
        let mode = facts.mode() & SEEN_MODE;
        let (uid, gid) = (facts.uid(), facts.gid());
        let seen = Seen {
            facts: format!(
                "{name} {mode:o} {uid}:{gid} {}.{:09}",
                facts.mtime(),
                facts.mtime_nsec()
            ),
            content,
        };
        all.insert(path, seen);
    }
    let mut all = Listing::new();
    visit(root, Vec::new(), &mut all);
    all
}

/// Whether it may be stored in chunks.
fn is_mostly_holes(content: &Extents) -> bool {
    let occupied: u64 = content.extents().iter().map(|extent| extent.data().len()).sum();
    content.len() > 60_000 && occupied <= content.len().div_ceil(erofs::BLOCK) / 2 * erofs::BLOCK
}

pub fn same(found: &Listing, expected: &Listing, by: &str) {
    for (path, seen) in expected {
        let other = found.get(path);
        let facts = other.map(|seen| (&seen.facts, seen.content.len()));
        let path = path.escape_ascii();
        assert_eq!(facts, Some((&seen.facts, seen.content.len())), "{by}: {path}");
        assert!(
            other.map(|seen| &seen.content) == Some(&seen.content),
            "{by}: content of {path}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{by}");
}

/// Makes an image with one thread and with several, and has it read by fsck.erofs.
pub fn check(tree: &Tree, options: &Options) -> Image {
    let image = plan(tree, options).unwrap_or_else(|error| panic!("{error}"));
    let alone = Options {
        jobs: 1,
        ..options.clone()
    };
    let again = plan(tree, &alone).unwrap();
    assert!(image.extents().to_vec().unwrap() == again.extents().to_vec().unwrap());
    assert!(image.extents().len().is_multiple_of(erofs::BLOCK));
    let disk = OnDisk::new(&image);
    if disk.is_root() {
        let (mut found, mut expected) = (found(&disk.extract()), expected(tree));
        for item in tree.walk() {
            // fsck.erofs 1.5 leaves holes out of what it writes; Linux does not.
            if let Kind::File(content) = &item.node.kind
                && is_mostly_holes(content)
            {
                found.remove(&item.path);
                expected.remove(&item.path);
            }
        }
        same(&found, &expected, "fsck.erofs");
    } else {
        run("fsck.erofs", &["--extract"], &disk.path());
    }
    image
}

/// Often one time, which makes shorter inodes.
pub fn times() -> impl Strategy<Value = Time> {
    prop_oneof![
        2 => Just(Time::from_seconds(MTIME)),
        1 => (-(1i64 << 31)..1 << 33, 0..1_000_000_000u32)
            .prop_map(|(seconds, nanoseconds)| Time { seconds, nanoseconds }),
    ]
}
