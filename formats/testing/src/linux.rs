//! Filesystems as Linux 6.1 reads them: Debian's kernel for virtual machines, in QEMU, where GNU tar
//! packs the files on them. (Loop devices are not available wherever tests run.)

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use extents::{Extents, FileBlob, emit};
use pax::Body;
use tree::{Kind, Meta, Tree, show};

use crate::sample::file;

/// Modules for the disks, in the order of loading.
const DISKS: [&str; 6] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
];
/// Maximum length of the archive, the length of its disk, in bytes.
const ARCHIVE: u64 = 256 << 20;

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Filesystem type of Linux.
#[derive(Clone, Copy, Debug)]
pub struct Linux<'a> {
    /// Name for `mount -t`.
    pub filesystem: &'a str,
    /// Modules of the type, in the order of loading.
    pub modules: &'a [&'a str],
    /// Directory for the kernel that outlives the test: `env!("CARGO_TARGET_TMPDIR")`.
    pub target_dir: &'a str,
}

/// Unpacks Debian's kernel and its modules, once for all tests.
fn kernel(all: &Path) -> PathBuf {
    let directory = all.join("linux");
    if !directory.join("boot").is_dir() {
        let temporary = tempfile::tempdir_in(all).unwrap();
        let depends = output(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]));
        let package = depends
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .unwrap();
        output(
            Command::new("apt-get")
                .args(["-q", "download", package])
                .current_dir(&temporary),
        );
        let deb = fs::read_dir(&temporary).unwrap().next().unwrap().unwrap().path();
        let unpacked = temporary.path().join("unpacked");
        output(Command::new("dpkg-deb").arg("-x").args([&deb, &unpacked]));
        // Another test may have been faster.
        if let Err(error) = fs::rename(unpacked, &directory) {
            assert!(directory.join("boot").is_dir(), "{error}");
        }
    }
    directory
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.map(|entry| entry.unwrap().path());
    let mut directories = Vec::new();
    for path in entries {
        if path.is_dir() {
            directories.push(path);
        } else if path.file_name().unwrap().to_string_lossy().starts_with(name) {
            return Some(path);
        }
    }
    directories.into_iter().find_map(|directory| find(&directory, name))
}

/// Builds a root filesystem with busybox and GNU tar, that runs a script.
fn initrd(kernel: &Path, names: &[&str], script: &str) -> Tree {
    let mut tree = Tree::default();
    let mut put = |path: &str, content: Vec<u8>| {
        let meta = Meta::new(0o755, tree::Time::default());
        tree.insert(path.as_bytes(), meta.clone(), file(content), &meta)
            .unwrap();
    };
    put("bin/busybox", fs::read("/bin/busybox").expect("busybox-static"));
    put("bin/gnutar", fs::read("/bin/tar").unwrap());
    for word in output(Command::new("ldd").arg("/bin/tar")).split_whitespace() {
        if word.starts_with('/') {
            put(word, fs::read(word).unwrap());
        }
    }
    let mut modules = Vec::new();
    for name in DISKS.iter().chain(names) {
        let path = find(&kernel.join("lib/modules"), &format!("{name}.ko")).unwrap_or_else(|| panic!("no {name}.ko"));
        put(&format!("modules/{name}.ko"), fs::read(path).unwrap());
        modules.push(format!("insmod /modules/{name}.ko"));
    }
    let head = "#!/bin/busybox sh\n/bin/busybox --install /bin 2>/dev/null\nmkdir -p /dev /proc\n\
                mount -t devtmpfs dev /dev\nmount -t proc proc /proc\n";
    put(
        "init",
        format!("{head}{}\n{script}\npoweroff -f\n", modules.join("\n")).into_bytes(),
    );
    tree
}

/// Reads images with Linux, as trees without sockets, which no tar archive has. Also returns the
/// output of `command`, for which the images are the directories 0, 1, ...
pub fn read(linux: Linux<'_>, images: &[&Extents], command: &str) -> (Vec<Tree>, String) {
    let directory = tempfile::tempdir().unwrap();
    let kernel = kernel(Path::new(linux.target_dir));
    let name = linux.filesystem;
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-accel",
        "tcg",
        "-m",
        "512",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-monitor",
        "none",
        "-no-reboot",
    ]);
    let archive = directory.path().join("archive");
    fs::File::create(&archive).unwrap().set_len(ARCHIVE).unwrap();
    qemu.arg("-drive")
        .arg(format!("file={},if=virtio,format=raw", archive.display()));
    let mut script = String::new();
    for (index, image) in images.iter().enumerate() {
        let path = directory.path().join(format!("image{index}"));
        emit::to_path(image, &path).unwrap();
        let drive = format!("file={},if=virtio,format=raw,readonly=on", path.display());
        qemu.arg("-drive").arg(drive);
        let device = (b'b' + index as u8) as char;
        script += &format!("mkdir -p /mnt/{index}\nmount -t {name} -o ro /dev/vd{device} /mnt/{index} || exit\n");
    }
    script += "gnutar -C /mnt --format=posix --numeric-owner --xattrs --xattrs-include='*' --acls -cf /dev/vda . \
               && sync && echo everything was read\ncd /mnt\n";
    script += command;
    let initrd = cpio::plan(&initrd(&kernel, linux.modules, &script)).unwrap();
    let initrd_path = directory.path().join("initrd");
    emit::to_path(&initrd, &initrd_path).unwrap();
    let vmlinuz = find(&kernel.join("boot"), "vmlinuz").unwrap();
    qemu.arg("-kernel").arg(vmlinuz).arg("-initrd").arg(initrd_path);
    qemu.args(["-append", "console=ttyS0 panic=-1 quiet"]);
    let text = output(&mut qemu);
    assert!(text.contains("everything was read"), "{text}");
    assert!(
        !text.contains(&format!("{name}:")) && !text.contains("Cannot"),
        "{text}"
    );

    let archive = Arc::new(FileBlob::open(&archive).unwrap());
    let archive = Extents::from_blob(archive);
    let mut trees = vec![Tree::default(); images.len()];
    for entry in pax::entries(&archive) {
        let entry = entry.unwrap();
        let split = |path: &[u8]| -> Option<(usize, Vec<u8>)> {
            let mut parts = path.strip_prefix(b"./")?.splitn(2, |byte| *byte == b'/');
            let index = std::str::from_utf8(parts.next()?).unwrap().parse().ok()?;
            Some((index, parts.next().unwrap_or_default().to_vec()))
        };
        let Some((index, path)) = split(&entry.path) else {
            continue;
        };
        let tree = &mut trees[index];
        let parents = Meta::default();
        let kind = match entry.body {
            Body::Node(kind) => kind,
            Body::Link(target) => {
                let (_, target) = split(&target).unwrap();
                tree.link(&path, &target, &parents).unwrap();
                continue;
            }
        };
        tree.insert(&path, entry.meta, kind, &parents).unwrap();
    }
    (trees, text)
}

/// Describes the nodes of a tree by path; with `links` also the names that belong to one file.
fn describe(tree: &Tree, links: bool) -> BTreeMap<Vec<u8>, (String, Vec<u8>)> {
    let mut first: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    tree.walk()
        .filter(|named| !matches!(named.node.kind, Kind::Socket))
        .map(|named| {
            let (kind, content) = match &named.node.kind {
                Kind::Directory(_) => ("directory".to_owned(), Vec::new()),
                Kind::File(content) => ("file".to_owned(), content.to_vec().unwrap()),
                Kind::Symlink(target) => ("link".to_owned(), target.clone()),
                other => (format!("{other:?}"), Vec::new()),
            };
            // GNU tar stores hard links of files and of symbolic links only.
            let same = match &named.node.kind {
                Kind::File(_) | Kind::Symlink(_) if links => {
                    first.entry(named.id.index()).or_insert_with(|| named.path.clone())
                }
                _ => &named.path,
            };
            let meta = &named.node.meta;
            let xattrs: Vec<_> = meta
                .xattrs
                .iter()
                // GNU tar drops empty ones.
                .filter(|(name, value)| !name.starts_with(b"system.") && !value.is_empty())
                .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
                .collect();
            let facts = format!(
                "{kind} {:o} {}:{} {:?} {xattrs:?} as {}",
                meta.mode,
                meta.uid,
                meta.gid,
                meta.mtime,
                show(same)
            );
            (named.path, (facts, content))
        })
        .collect()
}

/// Asserts that Linux found the nodes of the tree; with `links` also its hard links, which Linux does
/// not show in every filesystem.
pub fn same(found: &Tree, expected: &Tree, links: bool) {
    let (found, expected) = (describe(found, links), describe(expected, links));
    for (path, (facts, content)) in &expected {
        let Some(other) = found.get(path) else {
            panic!("Linux does not find {}: {facts}", show(path))
        };
        assert_eq!(&other.0, facts, "{}", show(path));
        assert!(&other.1 == content, "content of {}", show(path));
    }
    assert_eq!(found.len(), expected.len());
}
