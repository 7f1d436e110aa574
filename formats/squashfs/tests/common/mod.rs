//! What the tests share: images on disk, judged by unsquashfs (Debian package `squashfs-tools`), by
//! the backhand crate, and by Linux where the tests may mount.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use extents::emit;
use proptest::prelude::*;
use squashfs::{Compressor, Image, Options, plan};
use testing::sample::{self, MTIME, file, meta, text};
use tree::{Kind, Time, Tree};

pub fn options(compressor: Compressor, block_size: u32) -> Options {
    Options {
        compressor,
        block_size,
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
    let output = output.unwrap_or_else(|error| panic!("{program} is missing (squashfs-tools): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{program} {arguments:?}: {errors}"
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

    /// The files as unsquashfs writes them.
    pub fn extract(&self) -> PathBuf {
        let to = self.0.path().join("files");
        run(
            "unsquashfs",
            &["-q", "-n", "-strict-errors", "-d", to.to_str().unwrap()],
            &self.path(),
        );
        to
    }

    /// One file as unsquashfs writes it.
    pub fn extract_one(&self, name: &str) -> PathBuf {
        let to = self.0.path().join("files");
        let command = Command::new("unsquashfs")
            .args(["-q", "-n", "-d", to.to_str().unwrap()])
            .args([self.path().to_str().unwrap(), name])
            .output()
            .unwrap();
        assert!(command.status.success(), "{}", String::from_utf8_lossy(&command.stderr));
        to.join(name)
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
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub type Listing = BTreeMap<Vec<u8>, Seen>;

fn device(major: u32, minor: u32) -> Vec<u8> {
    format!("{major}:{minor}").into_bytes()
}

/// What unsquashfs is to write, by path: without the links of folders and the modes of symbolic
/// links that the image has.
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
            let names = match &item.node.kind {
                Kind::Directory(_) => 0,
                _ => item.node.names(),
            };
            let meta = &item.node.meta;
            let time = meta.mtime.seconds.clamp(0, u32::MAX.into());
            let mode = if kind == "link" { 0o777 } else { meta.mode };
            let seen = Seen {
                facts: format!("{kind} {mode:o} {}:{} {time} {names}", meta.uid, meta.gid),
                content,
                xattrs: meta.xattrs.clone(),
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
        let mode = facts.mode() & 0o7777;
        let names = if kind.is_dir() { 0 } else { facts.nlink() };
        let seen = Seen {
            facts: format!(
                "{name} {mode:o} {}:{} {} {names}",
                facts.uid(),
                facts.gid(),
                facts.mtime()
            ),
            content,
            xattrs: xattrs(host),
        };
        all.insert(path, seen);
    }
    let mut all = Listing::new();
    visit(root, Vec::new(), &mut all);
    all
}

fn xattrs(host: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let len = match rustix::fs::llistxattr(host, &mut names) {
        Ok(len) => len,
        // What Linux says of an image in which nothing has any.
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => panic!("{}: {error}", host.display()),
    };
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let len = rustix::fs::lgetxattr(host, name, &mut value).unwrap();
            value.truncate(len);
            (name.to_vec(), value)
        })
        .collect()
}

/// What backhand reads, by path; without links and attributes, which it does not have.
pub fn backhand(image: &Image) -> Listing {
    let bytes = image.extents().to_vec().unwrap();
    let reader = backhand::FilesystemReader::from_reader(Cursor::new(bytes)).unwrap();
    let unpacked = |n: u32| device(n >> 8 & 0xfff, n & 0xff | n >> 12 & 0xf_ff00);
    let all = reader.files().map(|node| {
        use backhand::InnerNode;
        let (kind, content) = match &node.inner {
            InnerNode::Dir(_) => ("folder", Vec::new()),
            InnerNode::File(file) => {
                let mut bytes = Vec::new();
                reader.file(file).reader().read_to_end(&mut bytes).unwrap();
                ("file", bytes)
            }
            InnerNode::Symlink(link) => ("link", link.link.as_os_str().as_bytes().to_vec()),
            InnerNode::CharacterDevice(d) => ("char", unpacked(d.device_number)),
            InnerNode::BlockDevice(d) => ("block", unpacked(d.device_number)),
            InnerNode::NamedPipe => ("fifo", Vec::new()),
            InnerNode::Socket => ("socket", Vec::new()),
        };
        let header = &node.header;
        let mode = if kind == "link" { 0o777 } else { header.permissions };
        let seen = Seen {
            facts: format!("{kind} {mode:o} {}:{} {}", header.uid, header.gid, header.mtime),
            content,
            xattrs: BTreeMap::new(),
        };
        let path = node.fullpath.as_os_str().as_bytes();
        (path.strip_prefix(b"/").unwrap_or(path).to_vec(), seen)
    });
    all.collect()
}

/// Whether backhand reads it: targets of 256 bytes, tables of several blocks, and attributes of what
/// is no file and no folder are too much.
fn backhand_can(tree: &Tree) -> bool {
    let can = |node: &tree::Node| match &node.kind {
        Kind::File(_) | Kind::Directory(_) => true,
        Kind::Symlink(target) => target.len() < 256 && node.meta.xattrs.is_empty(),
        _ => node.meta.xattrs.is_empty(),
    };
    let ids: BTreeSet<u32> = tree
        .walk()
        .flat_map(|item| [item.node.meta.uid, item.node.meta.gid])
        .collect();
    ids.len() <= 2048 && tree.walk().all(|item| can(item.node))
}

/// Without what backhand does not have.
pub fn reduced(listing: Listing) -> Listing {
    let all = listing.into_iter().map(|(path, mut seen)| {
        seen.xattrs.clear();
        seen.facts.truncate(seen.facts.rfind(' ').unwrap());
        (path, seen)
    });
    all.collect()
}

fn same(found: &Listing, expected: &Listing, by: &str) {
    for (path, seen) in expected {
        let other = found.get(path);
        let facts = other.map(|seen| (&seen.facts, seen.content.len(), &seen.xattrs));
        let path = path.escape_ascii();
        assert_eq!(
            facts,
            Some((&seen.facts, seen.content.len(), &seen.xattrs)),
            "{by}: {path}"
        );
        assert!(
            other.map(|seen| &seen.content) == Some(&seen.content),
            "{by}: content of {path}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{by}");
}

/// Makes an image with one thread and with several, and has it read by all who can.
pub fn check(tree: &Tree, options: &Options) -> Image {
    let image = plan(tree, options).unwrap();
    let alone = Options {
        jobs: 1,
        ..options.clone()
    };
    let again = plan(tree, &alone).unwrap();
    assert!(image.extents().to_vec().unwrap() == again.extents().to_vec().unwrap());
    assert!(image.extents().len().is_multiple_of(squashfs::PADDING));
    let want = expected(tree);
    let disk = OnDisk::new(&image);
    run("unsquashfs", &["-s"], &disk.path());
    if disk.is_root() {
        same(&found(&disk.extract()), &want, "unsquashfs");
    } else {
        let listing = run("unsquashfs", &["-q", "-lls"], &disk.path()).stdout;
        assert!(listing.split(|byte| *byte == b'\n').count() > want.len());
    }
    if matches!(options.compressor, Compressor::Gzip(_)) && backhand_can(tree) {
        same(&backhand(&image), &reduced(want), "backhand");
    }
    image
}

/// Whole seconds from 1970 to 2106.
pub fn times() -> impl Strategy<Value = Time> {
    (0..i64::from(u32::MAX)).prop_map(Time::from_seconds)
}

/// Names that own and are described in many ways.
pub fn many_owners_and_attributes() -> Tree {
    let mut tree = Tree::default();
    for number in 0..5000u32 {
        let mut meta = meta();
        (meta.uid, meta.gid) = (number, 1_000_000 + number * 500_000 / 3);
        let mut add = |name: &str, value: Vec<u8>| meta.xattrs.insert(name.as_bytes().to_vec(), value);
        add("user.number", number.to_string().into_bytes());
        add("trusted.t", text(number as usize % 200, 1));
        if number % 2 == 0 {
            add("security.s", vec![0, 1, 2]);
        }
        if number % 7 == 0 {
            add("user.empty", Vec::new());
        }
        let kind = if number % 3 == 0 {
            Kind::directory()
        } else {
            file(vec![b'x'; number as usize % 3])
        };
        tree.insert(format!("{number}").as_bytes(), meta, kind, &sample::meta())
            .unwrap();
    }
    tree
}
