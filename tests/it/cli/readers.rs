//! The root filesystem in ext4 and ISO 9660, as crates read it that had no part in writing it,
//! against the tar of the same build, as the tar crate reads it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use ext4_view::Ext4;
use iso9660_reader::{DirectoryEntry, ISO9660, ISODirectory};

use crate::common::images;
use crate::common::layout::Layout;

/// A file: its type as in tar, mode, owner and group, and content or target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    content: Vec<u8>,
}

/// Paths without a leading slash.
type Entries = BTreeMap<String, Entry>;

/// Builds the machine with everything in formats, into the directory that is returned.
fn build(formats: &[&str]) -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    images::write(&mut Layout::new(&site.path().join("layout")));
    let mut command = images::build(site.path(), "amd64", "modules", formats, &site.path().join("out"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    site
}

/// The entries of a tar, without `boot`, which only a tar has.
fn tar(file: &Path) -> Entries {
    let mut archive = tar::Archive::new(File::open(file).unwrap());
    let mut entries = Entries::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let path = path.trim_end_matches('/').to_owned();
        let header = entry.header().clone();
        let target = entry
            .link_name_bytes()
            .map(|target| target.into_owned())
            .unwrap_or_default();
        if header.entry_type().is_hard_link() {
            let first = entries[std::str::from_utf8(&target).unwrap()].clone();
            entries.insert(path, first);
            continue;
        }
        let mut content = target;
        entry.read_to_end(&mut content).unwrap();
        let mut owner = (header.uid().unwrap() as u32, header.gid().unwrap() as u32);
        for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
            let extension = extension.unwrap();
            match extension.key().unwrap() {
                "uid" => owner.0 = extension.value().unwrap().parse().unwrap(),
                "gid" => owner.1 = extension.value().unwrap().parse().unwrap(),
                _ => {}
            }
        }
        let kind = header.entry_type().as_byte();
        let mode = header.mode().unwrap();
        entries.insert(
            path,
            Entry {
                kind,
                mode,
                owner,
                content,
            },
        );
    }
    entries.retain(|path, _| path != "." && path != "boot" && !path.starts_with("boot/"));
    assert!(entries.len() > 300);
    entries
}

fn ext4(volume: &Ext4, directory: &str, entries: &mut Entries) {
    for entry in volume.read_dir(format!("/{directory}").as_str()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().as_str().unwrap().to_owned();
        if [".", ".."].contains(&name.as_str()) {
            continue;
        }
        let path = if directory.is_empty() {
            name
        } else {
            format!("{directory}/{name}")
        };
        let full = format!("/{path}");
        let metadata = volume.symlink_metadata(full.as_str()).unwrap();
        let kind = metadata.file_type();
        let (kind, content) = if kind.is_dir() {
            (b'5', Vec::new())
        } else if kind.is_symlink() {
            (b'2', volume.read_link(full.as_str()).unwrap().as_ref().to_vec())
        } else if kind.is_regular_file() {
            (b'0', volume.read(full.as_str()).unwrap())
        } else if kind.is_char_dev() {
            (b'3', Vec::new())
        } else if kind.is_block_dev() {
            (b'4', Vec::new())
        } else {
            (b'6', Vec::new())
        };
        let found = Entry {
            kind,
            mode: u32::from(metadata.mode()) & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            content,
        };
        entries.insert(path.clone(), found);
        if kind == b'5' {
            ext4(volume, &path, entries);
        }
    }
}

/// Directories that the image has besides those of the tar: the empty one of the kernel, ext4's own,
/// and a mount point in the root filesystem of a read-only container, whose directory nobody can
/// create later.
const ADDED: [&str; 4] = [
    "boot",
    "containers/onboot/000-sysctl/rootfs/sys/fs",
    "containers/onboot/000-sysctl/rootfs/sys/fs/cgroup",
    "lost+found",
];

#[test]
fn ext4_view_finds_the_tree_in_ext4() {
    let site = build(&["tar", "kernel+ext4"]);
    let expected = tar(&site.path().join("out/m.tar"));
    let volume = Ext4::load(Box::new(fs::read(site.path().join("out/m-ext4.img")).unwrap())).unwrap();
    let mut found = Entries::new();
    ext4(&volume, "", &mut found);
    for (path, entry) in &expected {
        let other = found.remove(path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(metadata(&other), metadata(entry), "{path}");
        assert!(other.content == entry.content, "{path}");
    }
    // A tar needs no directory above a file.
    found.retain(|path, _| !expected.keys().any(|other| other.starts_with(&format!("{path}/"))));
    let left: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(left, ADDED);
    assert!(found.values().all(|entry| entry.kind == b'5'));
}

fn metadata(entry: &Entry) -> (char, String, (u32, u32)) {
    (entry.kind.into(), format!("{:o}", entry.mode), entry.owner)
}

type Disk = File;

fn iso(directory: &ISODirectory<Disk>, path: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in directory.contents() {
        match entry.unwrap() {
            DirectoryEntry::Directory(below) if [".", ".."].contains(&below.identifier.as_str()) => {}
            DirectoryEntry::Directory(below) => iso(&below, &format!("{path}{}/", below.identifier), files),
            DirectoryEntry::File(file) => {
                let mut content = Vec::new();
                file.read().read_to_end(&mut content).unwrap();
                let twice = files.insert(format!("{path}{}", file.identifier), content);
                assert!(twice.is_none(), "{path}{}", file.identifier);
            }
        }
    }
}

/// A path that needs no change for the plain tree but upper case: at most 8 levels of at most 8
/// letters and digits.
fn is_plain(path: &str) -> bool {
    let mut parts = path.split('/');
    let plain = |part: &str| part.len() <= 8 && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    parts.clone().count() <= 8 && parts.all(plain)
}

#[test]
fn iso9660_finds_the_files_in_the_plain_tree() {
    let site = build(&["tar", "kernel+iso"]);
    let expected = tar(&site.path().join("out/m.tar"));
    let image = ISO9660::new(File::open(site.path().join("out/m.iso")).unwrap()).unwrap();
    let mut found = BTreeMap::new();
    iso(&image.root, "", &mut found);
    let mut compared = 0;
    for (path, entry) in expected
        .iter()
        .filter(|(path, entry)| entry.kind == b'0' && is_plain(path))
    {
        let content = found
            .get(&path.to_uppercase())
            .unwrap_or_else(|| panic!("{path} is missing: {:?}", found.keys()));
        assert!(*content == entry.content, "{path}");
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
    // Under whatever names, every file is there as often as it has names.
    let contents = |all: &mut dyn Iterator<Item = &Vec<u8>>| {
        let mut count: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for content in all.filter(|content| !content.is_empty()) {
            *count.entry(content.clone()).or_default() += 1;
        }
        count
    };
    let regular = expected.values().filter(|entry| entry.kind == b'0');
    let expected = contents(&mut regular.map(|entry| &entry.content));
    assert!(contents(&mut found.values()) == expected);
}
