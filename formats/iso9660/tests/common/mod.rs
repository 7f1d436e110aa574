//! Images in files, and listings of them by other programs.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use extents::{Extents, emit};
use iso9660_image::{BLOCK, Image, Options};
use proptest::prelude::*;
use tree::{Device, Kind, Meta, Time, Tree};

/// 2017-04-18T16:30:00Z.
pub const TIME: i64 = 1_492_533_000;

pub fn base() -> Meta {
    Meta::new(0o755, Time::from_seconds(TIME))
}

pub fn file(text: &[u8]) -> Kind {
    Kind::File(Extents::from_bytes(text))
}

/// Options after a change.
pub fn set(mut options: Options, change: impl FnOnce(&mut Options)) -> Options {
    change(&mut options);
    options
}

/// Tree with these files.
pub fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::new(base());
    for (path, text) in files {
        tree.insert(path.as_bytes(), base(), file(text), &base()).unwrap();
    }
    tree
}

/// Image in a file, which is removed with the value.
pub struct OnDisk(tempfile::TempDir);

impl OnDisk {
    pub fn new(image: &Image) -> OnDisk {
        let directory = tempfile::tempdir().unwrap();
        emit::to_path(image.extents(), &directory.path().join("x.iso")).unwrap();
        OnDisk(directory)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("x.iso")
    }

    pub fn directory(&self) -> &Path {
        self.0.path()
    }
}

/// First block and length in bytes of the file at a path.
pub fn extent_of(image: &Image, tree: &Tree, path: &str) -> Option<(u64, u64)> {
    let mut extents = image.file_extents(tree.lookup(path.as_bytes())?);
    let extent = extents.next()?;
    assert_eq!((extent.logical, extent.physical % BLOCK, extents.len()), (0, 0, 0));
    Some((extent.physical / BLOCK, extent.len))
}

/// First block and number of sectors to load of a boot image, from the boot catalog.
pub fn boot_extent(image: &Image, index: u64) -> (u64, u64) {
    let number = |at: u64, len: u64| {
        let bytes = image.extents().part(at, len).to_vec().unwrap();
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let catalog = number(17 * BLOCK + 0x47, 4) * BLOCK;
    let entry = catalog + 32 + index * 64;
    assert_eq!(number(entry, 1), 0x88, "boot image {index} is bootable");
    (number(entry + 8, 4), number(entry + 6, 2))
}

/// Runs a program that has to succeed. `{}` in an argument is replaced by the image.
pub fn run(program: &str, arguments: &[&str], disk: &OnDisk) -> String {
    let path = disk.path().into_os_string().into_string().unwrap();
    let output = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace("{}", &path)))
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .current_dir(disk.directory())
        .output()
        .unwrap_or_else(|error| panic!("{program} is missing, see xtask: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// Runs xorriso, whose warnings are failures too.
pub fn xorriso(arguments: &[&str], disk: &OnDisk) -> String {
    let mut all = vec![
        "-no_rc",
        "-abort_on",
        "WARNING",
        "-return_with",
        "WARNING",
        "32",
        "-indev",
        "{}",
    ];
    all.extend(arguments);
    let text = run("xorriso", &all, disk);
    for word in ["WARNING", "SORRY", "FAILURE", "MISHAP"] {
        assert!(!text.contains(&format!(": {word} :")), "{text}");
    }
    text
}

/// Properties of a node in a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub kind: &'static str,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    pub target: String,
    pub device: Option<(u32, u32)>,
    /// Length and POSIX checksum of a file.
    pub content: Option<(u64, u32)>,
}

/// Expected listing by path.
pub fn expected(tree: &Tree) -> BTreeMap<Vec<u8>, Seen> {
    let mut sums: BTreeMap<usize, (u64, u32)> = BTreeMap::new();
    let items = tree.walk().map(|named| {
        let meta = &named.node.meta;
        let mut seen = Seen {
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime.seconds,
            ..Seen::default()
        };
        seen.kind = match &named.node.kind {
            Kind::Directory(_) => "dir",
            Kind::File(content) => {
                let sum = sums.entry(named.id.index()).or_insert_with(|| {
                    let bytes = content.to_vec().unwrap();
                    (bytes.len() as u64, cksum(&bytes))
                });
                seen.content = Some(*sum);
                "file"
            }
            Kind::Symlink(target) => {
                seen.target = String::from_utf8(squeezed(target)).unwrap();
                "link"
            }
            Kind::CharDevice(device) => {
                seen.device = Some((device.major, device.minor));
                "char"
            }
            Kind::BlockDevice(device) => {
                seen.device = Some((device.major, device.minor));
                "block"
            }
            Kind::Fifo => "fifo",
            Kind::Socket => "socket",
        };
        (named.path, seen)
    });
    items.collect()
}

/// Target as Rock Ridge stores it: successive slashes are one, none is at the end.
pub fn squeezed(target: &[u8]) -> Vec<u8> {
    let root: &[u8] = if target.starts_with(b"/") { b"/" } else { b"" };
    let names: Vec<&[u8]> = target.split(|b| *b == b'/').filter(|name| !name.is_empty()).collect();
    [root, &names.join(&b'/')].concat()
}

/// Lists an image with libarchive (Debian package `libarchive-tools`). Later names of a file have
/// no content.
pub fn bsdtar(disk: &OnDisk) -> BTreeMap<Vec<u8>, Seen> {
    let keys = "!all,type,mode,uid,gid,link,device,time,size,nlink,cksum";
    let fields = format!("--options={keys}");
    let text = run("bsdtar", &["-cf", "-", "--format=mtree", &fields, "@{}"], disk);
    let mut nodes = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('.')) {
        let mut words = line.split(' ');
        let path = unescape(words.next().unwrap());
        let path = path.strip_prefix(b"./").unwrap_or(b"").to_vec();
        let mut seen = Seen::default();
        let mut size = 0;
        for word in words {
            let (key, value) = word.split_once('=').unwrap();
            match key {
                "type" => {
                    let kinds = ["dir", "file", "link", "char", "block", "fifo", "socket"];
                    seen.kind = kinds.into_iter().find(|kind| *kind == value).unwrap();
                }
                "mode" => seen.mode = u32::from_str_radix(value, 8).unwrap(),
                "uid" => seen.uid = value.parse().unwrap(),
                "gid" => seen.gid = value.parse().unwrap(),
                "time" => seen.mtime = value.split('.').next().unwrap().parse().unwrap(),
                "link" => seen.target = String::from_utf8_lossy(&unescape(value)).into_owned(),
                "device" => {
                    let numbers: Vec<u32> = value.split(',').skip(1).map(|n| n.parse().unwrap()).collect();
                    seen.device = Some((numbers[0], numbers[1]));
                }
                "size" => size = value.parse().unwrap(),
                "cksum" => seen.content = Some((size, value.parse().unwrap())),
                _ => {}
            }
        }
        assert!(nodes.insert(path, seen).is_none(), "twice: {line}");
    }
    nodes
}

/// Decodes `\ooo`, by which mtree escapes bytes that are not printable.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'\\' {
            let digits = std::str::from_utf8(&tail[..3]).unwrap();
            bytes.push(u8::from_str_radix(digits, 8).unwrap());
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    bytes
}

/// Computes the checksum of POSIX `cksum`.
pub fn cksum(bytes: &[u8]) -> u32 {
    let mut sum = 0u32;
    let mut add = |byte: u8| {
        sum ^= u32::from(byte) << 24;
        for _ in 0..8 {
            sum = sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    };
    bytes.iter().for_each(|byte| add(*byte));
    let mut len = bytes.len();
    while len > 0 {
        add(len as u8);
        len >>= 8;
    }
    !sum
}

/// Asserts that libarchive and xorriso list the nodes of the tree.
pub fn check(tree: &Tree, image: &Image) {
    let disk = OnDisk::new(image);
    let mut seen = bsdtar(&disk);
    let mut wanted = expected(tree);
    // The first name of a file that libarchive reads has the content, the others have none. Names of
    // one file are found by their block.
    let mut named: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for path in wanted.keys() {
        let path_text = String::from_utf8_lossy(path);
        if let Some((block, _)) = extent_of(image, tree, &path_text) {
            named.entry(block).or_default().push(path.clone());
        }
    }
    for names in named.values().filter(|names| names.len() > 1) {
        let contents: Vec<_> = names.iter().filter_map(|name| seen.get(name)?.content).collect();
        let complete: Vec<_> = contents.iter().filter(|content| content.0 > 0).collect();
        assert_eq!(complete.len(), 1, "{names:?} is not one file: {contents:?}");
        let complete = *complete[0];
        for name in names {
            seen.get_mut(name).unwrap().content = Some(complete);
        }
    }
    same(&seen, &wanted, "libarchive");

    let listed = lsdl(&disk);
    wanted.retain(|path, _| std::str::from_utf8(path).is_ok());
    let wanted = wanted.into_iter().map(|(path, node)| {
        let letter = LETTERS.iter().find(|(kind, _)| *kind == node.kind).unwrap().1;
        (path, (letter, node.target))
    });
    same(&listed, &wanted.collect(), "xorriso");
}

/// Letters of the types in a listing.
const LETTERS: [(&str, char); 7] = [
    ("dir", 'd'),
    ("file", '-'),
    ("link", 'l'),
    ("char", 'c'),
    ("block", 'b'),
    ("fifo", 'p'),
    ("socket", 's'),
];

/// Lists types and targets by path with xorriso.
fn lsdl(disk: &OnDisk) -> BTreeMap<Vec<u8>, (char, String)> {
    let text = xorriso(&["-find", "/", "-exec", "lsdl", "--"], disk);
    let lines = text
        .lines()
        .filter(|line| line.contains(" '/") && !line.starts_with("Drive"));
    let nodes = lines.map(|line| {
        let path = line.split_once(" '/").unwrap().1.strip_suffix('\'').unwrap();
        let (path, target) = path.split_once("' -> '").unwrap_or((path, ""));
        (
            path.as_bytes().to_vec(),
            (line.chars().next().unwrap(), target.to_owned()),
        )
    });
    nodes.collect()
}

/// Asserts that two listings are equal; the message has only the first difference.
pub fn same<T: PartialEq + std::fmt::Debug>(seen: &BTreeMap<Vec<u8>, T>, wanted: &BTreeMap<Vec<u8>, T>, who: &str) {
    let paths: std::collections::BTreeSet<_> = seen.keys().chain(wanted.keys()).collect();
    for path in paths {
        let name = String::from_utf8_lossy(path);
        assert_eq!(seen.get(path), wanted.get(path), "{name:?} as listed by {who}");
    }
}

/// Names that Linux accepts, of all lengths and scripts.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-zA-Z0-9_. -]{1,20}",
        2 => "[a-z]{90,253}",
        2 => "[\u{e0}-\u{ff}\u{3b1}-\u{3c9}\u{4e00}-\u{4e80}\u{1f600}-\u{1f640}]{1,60}",
        1 => "[A-C]{1,2}\\.[a-c]{1,3}",
    ]
    .prop_filter("not a name", |name| {
        name != "." && name != ".." && !name.contains("rr_moved")
    })
}

prop_compose! {
    pub fn random_tree()(nodes in prop::collection::vec(
        (prop::collection::vec(name(), 1..14), 0..9u8, 0..5000usize, any::<u16>()), 0..40)) -> Tree {
        let mut tree = Tree::new(base());
        let mut last: Option<Vec<u8>> = None;
        for (names, kind, size, number) in nodes {
            let path = names.join("/").into_bytes();
            let meta = Meta {
                uid: u32::from(number),
                gid: u32::from(number % 7),
                mode: u32::from(number) & 0o7777,
                ..base()
            };
            let device = Device { major: 1 + u32::from(number) % 255, minor: size as u32 % 256 };
            let kind = match kind {
                0..=2 => file(&vec![number as u8; size]),
                3 => Kind::Symlink(names.join("/").chars().take(300).collect::<String>().into_bytes()),
                4 => Kind::CharDevice(device),
                5 => Kind::BlockDevice(device),
                6 => Kind::Fifo,
                7 => Kind::directory(),
                _ => {
                    if let Some(target) = last.as_ref().filter(|target| **target != path) {
                        let _ = tree.link(&path, target, &base());
                    }
                    continue;
                }
            };
            let is_file = matches!(kind, Kind::File(_));
            if tree.insert(&path, meta, kind, &base()).is_ok() && is_file {
                last = Some(path);
            }
        }
        tree
    }
}
