//! Snapshots of outputs, from what `inspect` finds in them.

use std::collections::{BTreeMap, BTreeSet};

use extents::Extents;
use tree::{Device, Kind, Meta, Time, Tree};

use super::{Snapshot, StoredProperties, clear_boot};
use crate::inspect::{Entry, Metadata, Node, Report, Volume, path};

/// Top-level directories of a root filesystem, of which one is enough to tell it.
const ROOT_DIRECTORIES: [&str; 4] = ["etc", "containers", "bin", "usr"];
/// Directories of boot loaders on an ISO image.
const BOOT_DIRECTORIES: [&str; 2] = ["EFI", "isolinux"];
/// Names of a kernel: in a unified kernel image, a tar, on a Raspberry Pi.
const KERNELS: [&str; 3] = [".linux", "kernel", "kernel8.img"];
/// Names of files with kernel arguments, in the same places.
const ARGUMENTS: [&str; 3] = [".cmdline", "cmdline", "cmdline.txt"];
/// Keys of kernel arguments in the configuration of syslinux and systemd-boot.
const ARGUMENT_KEYS: [&str; 2] = ["append ", "options "];
/// Maximum length of a text that is read, in bytes.
const MAX_TEXT: u64 = 64 << 10;

impl Snapshot {
    /// Returns the snapshot of an output, whose content is `file`. Paths that a tree cannot have are left
    /// out.
    pub fn of_output(report: Report, file: Extents) -> Snapshot {
        let mut snapshot = Snapshot {
            formats: report.volumes.iter().map(|volume| volume.format).collect(),
            partitions: partitions(&report.volumes),
            file: Some(file.clone()),
            ..Snapshot::default()
        };
        // A kernel or a command line that is a file of its own.
        if report.volumes.is_empty() {
            let entry = Entry::file("", file);
            if let Some(arguments) = text(&entry).filter(|text| text.contains('=')) {
                snapshot.arguments = Some(arguments);
            } else {
                snapshot.kernel = entry.content().cloned();
            }
            return snapshot;
        }
        let isos = report.volumes.iter().filter(|volume| volume.format.starts_with("ISO"));
        let isos: BTreeSet<String> = isos.map(|volume| volume.path.clone()).collect();
        let volumes: BTreeSet<String> = report.volumes.into_iter().map(|volume| volume.path).collect();
        let roots = roots(&report.entries, &volumes);
        let root = roots.first().cloned();
        let is_iso = root.as_ref().is_some_and(|root| isos.contains(root));
        let mut entries = Vec::new();
        for entry in report.entries {
            let Some(volume) = parent(&entry.path, &volumes) else {
                continue;
            };
            if root.as_ref() == Some(volume) && !(is_iso && is_boot_path(below(&entry.path, volume))) {
                let path = below(&entry.path, volume).to_owned();
                entries.push(Entry { path, ..entry });
            } else if root.as_ref() == Some(volume) || !roots.contains(volume) {
                snapshot.add_boot_file(&entry, &volumes);
            }
        }
        snapshot.stored = stored_properties(&entries);
        let mut tree = Tree::default();
        for entry in entries {
            snapshot.add(entry, &mut tree);
        }
        clear_boot(&mut tree);
        snapshot.root = root.is_some().then_some(tree);
        snapshot
    }

    /// Adds an entry of the root filesystem to its tree.
    fn add(&mut self, entry: Entry, tree: &mut Tree) {
        match entry.path.as_str() {
            "boot/kernel" if self.kernel.is_none() => self.kernel = entry.content().cloned(),
            "boot/cmdline" if self.arguments.is_none() => self.arguments = text(&entry),
            "boot/extlinux.conf" if self.arguments.is_none() => self.arguments = configured(&entry),
            _ => {}
        }
        let Metadata {
            mode,
            owner,
            mtime,
            xattrs,
        } = entry.metadata;
        let (uid, gid) = owner.unwrap_or_default();
        let meta = Meta {
            mode: mode.unwrap_or_default(),
            uid,
            gid,
            mtime: Time::from_seconds(mtime.unwrap_or_default()),
            xattrs: xattrs.unwrap_or_default(),
            ..Meta::default()
        };
        let device = |device: Option<Device>| device.unwrap_or_default();
        let kind = match entry.node {
            Node::Directory => Kind::directory(),
            Node::File(content) => Kind::File(content),
            Node::Symlink(target) => Kind::Symlink(target),
            Node::CharDevice(number) => Kind::CharDevice(device(number)),
            Node::BlockDevice(number) => Kind::BlockDevice(device(number)),
            Node::Fifo => Kind::Fifo,
            Node::Socket => Kind::Socket,
        };
        // An archive may lack the directories above its files.
        let parents = Meta {
            implied: true,
            ..Meta::default()
        };
        // A path such as `a/../b` is in no output of moby.
        let _ = tree.insert(&path::to_bytes(&entry.path), meta, kind, &parents);
    }

    /// Adds a file outside of the root filesystem.
    fn add_boot_file(&mut self, entry: &Entry, volumes: &BTreeSet<String>) {
        let Some(content) = entry.content() else { return };
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        if KERNELS.contains(&name) {
            self.kernel.get_or_insert_with(|| content.clone());
        } else if ARGUMENTS.contains(&name) {
            self.arguments = self.arguments.take().or_else(|| text(entry));
        } else if let Some(arguments) = configured(entry) {
            self.arguments.get_or_insert(arguments);
        } else if !volumes.contains(&entry.path) {
            self.boot.insert(entry.path.clone(), content.clone());
        }
    }
}

/// Lists the volumes with a root filesystem, the one with most entries first. The others are copies for
/// another boot loader.
fn roots(entries: &[Entry], volumes: &BTreeSet<String>) -> Vec<String> {
    let mut counts: BTreeMap<&str, (bool, usize)> = BTreeMap::new();
    for entry in entries {
        let Some(volume) = parent(&entry.path, volumes) else {
            continue;
        };
        let path = below(&entry.path, volume);
        let top = path.split('/').next().unwrap_or_default();
        let (is_root, count) = counts.entry(volume).or_default();
        *is_root |= path.contains('/') && ROOT_DIRECTORIES.contains(&top);
        *count += 1;
    }
    let mut roots: Vec<(usize, &str)> = counts
        .into_iter()
        .filter_map(|(path, (is_root, count))| is_root.then_some((count, path)))
        .collect();
    roots.sort_by_key(|(count, path)| (std::cmp::Reverse(*count), *path));
    roots.into_iter().map(|(_, path)| path.to_owned()).collect()
}

/// Returns true for what an ISO image has beside a root filesystem: its boot loader, and partitions, whose
/// names are numbers.
fn is_boot_path(path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    BOOT_DIRECTORIES.contains(&top) || path.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the innermost volume that contains a path.
fn parent<'a>(path: &str, volumes: &'a BTreeSet<String>) -> Option<&'a String> {
    let mut dir = path;
    while let Some(at) = dir.rfind('/') {
        dir = dir.get(..at)?;
        if let Some(volume) = volumes.get(dir) {
            return Some(volume);
        }
    }
    volumes.get("")
}

/// Returns the part of a path below a volume that contains it.
fn below<'a>(path: &'a str, volume: &str) -> &'a str {
    let rest = path.strip_prefix(volume).unwrap_or(path);
    rest.trim_start_matches('/')
}

/// Returns the properties that all entries have.
fn stored_properties(entries: &[Entry]) -> StoredProperties {
    let mut stored = StoredProperties::ALL;
    for entry in entries {
        let metadata = &entry.metadata;
        stored.mode &= metadata.mode.is_some();
        stored.owner &= metadata.owner.is_some();
        stored.mtime &= metadata.mtime.is_some();
        stored.xattrs &= metadata.xattrs.is_some();
        stored.devices &= !matches!(entry.node, Node::CharDevice(None) | Node::BlockDevice(None));
    }
    stored
}

/// Returns the fields of partitions by path and number.
fn partitions(volumes: &[Volume]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for volume in volumes {
        for line in &volume.summary {
            if let Some((partition, value)) = line.split_once(": ").filter(|_| line.starts_with("partition ")) {
                let path = if volume.path.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", volume.path)
                };
                fields.insert(format!("{path}{partition}"), value.to_owned());
            }
        }
    }
    fields
}

/// Returns the text of a short file in one line.
fn text(entry: &Entry) -> Option<String> {
    let content = entry.content().filter(|content| content.len() <= MAX_TEXT)?;
    let text = String::from_utf8(content.to_vec().ok()?).ok()?;
    Some(text.trim_matches(['\0', '\n', ' ']).to_owned())
}

/// Returns the kernel arguments of a boot loader's configuration.
fn configured(entry: &Entry) -> Option<String> {
    let name = entry.path.rsplit('/').next().unwrap_or_default().to_lowercase();
    if !name.ends_with(".cfg") && !name.ends_with(".conf") {
        return None;
    }
    let text = text(entry)?;
    text.lines().find_map(|line| {
        let line = line.trim_start();
        let key = ARGUMENT_KEYS.iter().find(|key| {
            let start = line.get(..key.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(key))
        })?;
        line.get(key.len()..).map(|arguments| arguments.trim().to_owned())
    })
}
