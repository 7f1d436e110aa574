//! Options and readers that the tests share: images on disk, read by unsquashfs (Debian package
//! `squashfs-tools`) and by the backhand crate.
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
use squashfs_image::{Compressor, Image, Options, plan};
use testing::sample::{self, MTIME, file, meta, text};
use tree::{Kind, Time, Tree};

/// Options after a change.
pub fn set(mut options: Options, change: impl FnOnce(&mut Options)) -> Options {
    change(&mut options);
    options
}

pub fn options(compressor: Compressor, block_size: u32) -> Options {
    set(Options::default(), |o| {
        o.compressor = compressor;
        o.block_size = block_size;
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
    let output = output.unwrap_or_else(|error| panic!("{program} is missing (squashfs-tools): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{program} {arguments:?}: {errors}"
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

    /// Extracts all files with unsquashfs.
    pub fn extract(&self) -> PathBuf {
        let to = self.0.path().join("files");
        run(
            "unsquashfs",
            &["-q", "-n", "-strict-errors", "-d", to.to_str().unwrap()],
            &self.path(),
        );
        to
    }

    /// Extracts one file with unsquashfs.
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
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub type Listing = BTreeMap<Vec<u8>, Seen>;

fn device(major: u32, minor: u32) -> Vec<u8> {
    format!("{major}:{minor}").into_bytes()
}

/// Files that unsquashfs should write, by path. It does not keep the link counts of directories and the
/// modes of symbolic links.
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
            let nlink = match &named.node.kind {
                Kind::Directory(_) => 0,
                _ => named.node.nlink(),
            };
            let meta = &named.node.meta;
            let time = meta.mtime.seconds.clamp(0, u32::MAX.into());
            let mode = if kind == "link" { 0o777 } else { meta.mode };
            let seen = Seen {
                facts: format!("{kind} {mode:o} {}:{} {time} {nlink}", meta.uid, meta.gid),
                content,
                xattrs: meta.xattrs.clone(),
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
        let mode = facts.mode() & 0o7777;
        let nlink = if kind.is_dir() { 0 } else { facts.nlink() };
        let seen = Seen {
            facts: format!(
                "{name} {mode:o} {}:{} {} {nlink}",
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
        // Linux returns this error if no file of the image has any.
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

/// Files that backhand reads, by path, without link counts and attributes.
pub fn backhand(image: &Image) -> Listing {
    let bytes = image.extents().to_vec().unwrap();
    let reader = backhand::FilesystemReader::from_reader(Cursor::new(bytes)).unwrap();
    let unpacked = |n: u32| device(n >> 8 & 0xfff, n & 0xff | n >> 12 & 0xf_ff00);
    let all = reader.files().map(|node| {
        use backhand::InnerNode;
        let (kind, content) = match &node.inner {
            InnerNode::Dir(_) => ("directory", Vec::new()),
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

/// Returns true for a tree that backhand can read: it does not support targets of 256 bytes, tables of
/// several blocks, and attributes of devices, symbolic links and the like.
fn backhand_can(tree: &Tree) -> bool {
    let can = |node: &tree::Node| match &node.kind {
        Kind::File(_) | Kind::Directory(_) => true,
        Kind::Symlink(target) => target.len() < 256 && node.meta.xattrs.is_empty(),
        _ => node.meta.xattrs.is_empty(),
    };
    let ids: BTreeSet<u32> = tree
        .walk()
        .flat_map(|named| [named.node.meta.uid, named.node.meta.gid])
        .collect();
    ids.len() <= 2048 && tree.walk().all(|named| can(named.node))
}

/// Removes the properties that backhand does not read.
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

/// Field of the superblock.
fn field<const N: usize>(image: &Image, at: u64) -> [u8; N] {
    image.extents().part(at, N as u64).to_vec().unwrap().try_into().unwrap()
}

/// Number of inodes in the superblock (`inodes`).
pub fn inodes(image: &Image) -> u32 {
    u32::from_le_bytes(field(image, 4))
}

/// Length without padding in the superblock (`bytes_used`).
pub fn bytes_used(image: &Image) -> u64 {
    u64::from_le_bytes(field(image, 0x28))
}

/// Plans an image with one thread and with several, and reads it with all readers.
pub fn check(tree: &Tree, options: &Options) -> Image {
    let image = plan(tree, options).unwrap();
    let single = set(options.clone(), |o| o.jobs = 1);
    let again = plan(tree, &single).unwrap();
    assert!(image.extents().to_vec().unwrap() == again.extents().to_vec().unwrap());
    assert!(image.extents().len().is_multiple_of(squashfs_image::PADDING));
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

/// Times from 1970 to 2106 without nanoseconds.
pub fn times() -> impl Strategy<Value = Time> {
    (0..i64::from(u32::MAX)).prop_map(Time::from_seconds)
}

/// Tree with many owners and extended attributes.
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
