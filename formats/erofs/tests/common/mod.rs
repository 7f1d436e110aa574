//! Options and readers that the tests share: images on disk, checked and extracted by fsck.erofs
//! (Debian package `erofs-utils`).
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use erofs_image::{Compressor, Image, Options, plan};
use extents::{Extents, emit};
use proptest::prelude::*;
use testing::sample::MTIME;
use tree::{Kind, Time, Tree};

pub const COMPRESSORS: [Compressor; 2] = [Compressor::None, Compressor::Lz4];

/// Mode bits that arrive: fsck.erofs 1.5 sets the owner last, which clears set-uid and set-gid.
const SEEN_MODE: u32 = 0o1777;

/// Options after a change.
pub fn set(mut options: Options, change: impl FnOnce(&mut Options)) -> Options {
    change(&mut options);
    options
}

pub fn options(compressor: Compressor) -> Options {
    set(Options::default(), |o| {
        o.compressor = compressor;
        o.jobs = 4;
        o.time = Time::from_seconds(MTIME);
    })
}

pub fn run(program: &str, arguments: &[&str], image: &Path) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .arg(image)
        .env("TZ", "UTC")
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program} is missing (erofs-utils): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    let complains = text.contains("<E>") || text.contains("<W>") || !errors.is_empty();
    assert!(
        output.status.success() && !complains,
        "{program} {arguments:?}: {text}{errors}"
    );
    output
}

/// Image in a file, in a directory that is removed with the value.
pub struct OnDisk(tempfile::TempDir);

impl OnDisk {
    pub fn new(image: &Image) -> Self {
        let directory = tempfile::tempdir().unwrap();
        emit::to_path(image.extents(), &directory.path().join("image")).unwrap();
        OnDisk(directory)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("image")
    }

    /// Extracts all files with fsck.erofs.
    pub fn extract(&self) -> PathBuf {
        let to = self.0.path().join("files");
        run("fsck.erofs", &[&format!("--extract={}", to.display())], &self.path());
        to
    }

    /// Returns whether the tests run as root, who can create owners and devices.
    pub fn is_root(&self) -> bool {
        fs::metadata(self.0.path()).unwrap().uid() == 0
    }
}

/// Properties of a file as text, and its content, target or device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub facts: String,
    pub content: Vec<u8>,
}

pub type Listing = BTreeMap<Vec<u8>, Seen>;

fn device(major: u32, minor: u32) -> Vec<u8> {
    format!("{major}:{minor}").into_bytes()
}

/// Expected files by path.
pub fn expected(tree: &Tree) -> Listing {
    tree.walk()
        .map(|named| {
            let (kind, content) = match &named.node.kind {
                Kind::Directory(_) => ("directory", Vec::new()),
                Kind::File(content) => ("file", content.to_vec().unwrap()),
                Kind::Symlink(target) => ("link", target.clone()),
                Kind::CharDevice(d) => ("char", device(d.major, d.minor)),
                Kind::BlockDevice(d) => ("block", device(d.major, d.minor)),
                Kind::Fifo => ("fifo", Vec::new()),
                Kind::Socket => ("socket", Vec::new()),
            };
            let meta = &named.node.meta;
            let mode = if kind == "link" { 0o777 } else { meta.mode & SEEN_MODE };
            let (uid, gid, time) = (meta.uid, meta.gid, meta.mtime);
            let seen = Seen {
                facts: format!("{kind} {mode:o} {uid}:{gid} {}.{:09}", time.seconds, time.nanoseconds),
                content,
            };
            (named.path, seen)
        })
        .collect()
}

/// Files in a directory of the host by path.
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
            ("directory", Vec::new())
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

/// Returns true for a content that may be stored in chunks.
fn is_mostly_holes(content: &Extents) -> bool {
    let occupied: u64 = content.extents().iter().map(|extent| extent.data().len()).sum();
    content.len() > 60_000 && occupied <= content.len().div_ceil(erofs_image::BLOCK) / 2 * erofs_image::BLOCK
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

/// Number of inodes in the superblock (`inos`).
pub fn inodes(image: &Image) -> u64 {
    let field = image.extents().part(1024 + 16, 8).to_vec().unwrap();
    u64::from_le_bytes(field.try_into().unwrap())
}

/// Asserts that contents are at the extents of their files.
fn check_extents(tree: &Tree, image: &Image) {
    for named in tree.walk() {
        for extent in image.file_extents(named.id) {
            let Kind::File(content) = &named.node.kind else {
                panic!("{:?} is not a file", named.path);
            };
            let found = image.extents().part(extent.physical, extent.len).to_vec().unwrap();
            let expected = content.part(extent.logical, extent.len).to_vec().unwrap();
            assert!(extent.len > 0 && found == expected, "{extent:?}");
        }
    }
}

/// Plans an image with one thread and with several, and checks it with fsck.erofs.
pub fn check(tree: &Tree, options: &Options) -> Image {
    let image = plan(tree, options).unwrap_or_else(|error| panic!("{error}"));
    let single = set(options.clone(), |o| o.jobs = 1);
    let again = plan(tree, &single).unwrap();
    assert!(image.extents().to_vec().unwrap() == again.extents().to_vec().unwrap());
    assert!(image.extents().len().is_multiple_of(erofs_image::BLOCK));
    check_extents(tree, &image);
    let disk = OnDisk::new(&image);
    if disk.is_root() {
        let (mut found, mut expected) = (found(&disk.extract()), expected(tree));
        for named in tree.walk() {
            // fsck.erofs 1.5 truncates holes at the end of a file; Linux does not.
            if let Kind::File(content) = &named.node.kind
                && is_mostly_holes(content)
            {
                found.remove(&named.path);
                expected.remove(&named.path);
            }
        }
        same(&found, &expected, "fsck.erofs");
    } else {
        run("fsck.erofs", &["--extract"], &disk.path());
    }
    image
}

/// Times, often the one in the options, which gives shorter inodes.
pub fn times() -> impl Strategy<Value = Time> {
    prop_oneof![
        2 => Just(Time::from_seconds(MTIME)),
        1 => (-(1i64 << 31)..1 << 33, 0..1_000_000_000u32)
            .prop_map(|(seconds, nanoseconds)| Time { seconds, nanoseconds }),
    ]
}
