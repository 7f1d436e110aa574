//! From a tree to a filesystem.

use std::collections::BTreeMap;

use extents::Extents;
use tree::{Kind, Node, Time, Tree};

use crate::folder::{self, ENTRY, Facts, Name};
use crate::geometry::{Content, Geometry};
use crate::{Error, LARGEST_FILE, Options, SECTOR, Type};

/// A filesystem.
#[derive(Clone, Debug)]
pub struct Image {
    extents: Extents,
    kind: Type,
    /// By path: the first sector, and the length in bytes.
    files: BTreeMap<Vec<u8>, (u64, u64)>,
}

impl Image {
    /// The bytes of the filesystem.
    pub fn extents(&self) -> &Extents {
        &self.extents
    }

    /// The bytes of the filesystem, without the rest.
    pub fn into_extents(self) -> Extents {
        self.extents
    }

    /// Which type it has.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// Where a file stands: its first sector, counted from the start of the filesystem, and its
    /// length in bytes. A file is in one piece.
    pub fn extent_of(&self, path: &[u8]) -> Option<(u64, u64)> {
        self.files.get(path).copied()
    }
}

/// A folder of the tree.
struct Folder<'a> {
    path: Vec<u8>,
    parent: usize,
    time: Time,
    children: Vec<(&'a [u8], Child)>,
    names: Vec<Name>,
}

#[derive(Clone, Copy)]
enum Child {
    Folder(usize),
    File(usize),
}

struct File<'a> {
    path: Vec<u8>,
    time: Time,
    content: &'a Extents,
}

/// Plans a filesystem with the folders and files of a tree.
///
/// # Errors
/// What FAT cannot hold, by path, and sizes that do not go together.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    let label = label(&options.label)?;
    let (mut folders, files) = collect(tree)?;
    for (index, folder) in folders.iter_mut().enumerate() {
        // A label in the root, "." and ".." in the others.
        let more = if index == 0 { usize::from(label.is_some()) } else { 2 };
        folder.names = folder::name(&folder.path, folder.children.iter().map(|(name, _)| *name), more)?;
    }
    let folder_len = |index: usize, folder: &Folder| {
        let more = if index == 0 { usize::from(label.is_some()) } else { 2 };
        folder::bytes(&folder.names) + (more * ENTRY) as u64
    };
    let lengths: Vec<u64> = folders.iter().enumerate().map(|(i, f)| folder_len(i, f)).collect();
    let root = lengths.first().copied().unwrap_or_default();
    let content = Content {
        root,
        lengths: lengths
            .iter()
            .skip(1)
            .copied()
            .chain(files.iter().map(|f| f.content.len()))
            .collect(),
    };
    let geometry = Geometry::choose(&content, options)?;

    let mut clusters = Clusters::new(&geometry);
    let root_cluster = match geometry.kind {
        Type::Fat32 => clusters.allocate(root.max(1)),
        _ => 0,
    };
    let folder_clusters: Vec<u32> = lengths
        .iter()
        .enumerate()
        .map(|(index, len)| {
            if index == 0 {
                root_cluster
            } else {
                clusters.allocate(*len)
            }
        })
        .collect();
    let file_clusters: Vec<u32> = files.iter().map(|file| clusters.allocate(file.content.len())).collect();

    let cluster_of = |index: usize| folder_clusters.get(index).copied().unwrap_or_default();
    let mut bytes = Vec::new();
    for (index, folder) in folders.iter().enumerate() {
        let mut entries = Vec::new();
        let folder_facts = |cluster, time| Facts {
            attributes: folder::DIRECTORY,
            time,
            cluster,
            len: 0,
        };
        match (index, label) {
            (0, Some(label)) => folder::push_short(
                &mut entries,
                &label,
                &Facts {
                    attributes: folder::VOLUME_ID,
                    ..folder_facts(0, options.time)
                },
            ),
            (0, None) => {}
            _ => {
                // FAT 1.03: ".." of a folder in the root has cluster 0, on FAT32 too.
                let parent = if folder.parent == 0 {
                    0
                } else {
                    cluster_of(folder.parent)
                };
                folder::push_short(
                    &mut entries,
                    b".          ",
                    &folder_facts(cluster_of(index), folder.time),
                );
                folder::push_short(&mut entries, b"..         ", &folder_facts(parent, folder.time));
            }
        }
        for ((_, child), name) in folder.children.iter().zip(&folder.names) {
            let facts = match child {
                Child::Folder(child) => {
                    let time = folders.get(*child).map(|f| f.time).unwrap_or_default();
                    folder_facts(cluster_of(*child), time)
                }
                Child::File(file) => file_facts(files.get(*file), file_clusters.get(*file), options),
            };
            folder::push(&mut entries, name, &facts);
        }
        bytes.push(entries);
    }

    let mut hash = crc32fast::Hasher::new();
    bytes.iter().for_each(|entries| hash.update(entries));
    hash.update(&clusters.table);
    let serial = options.serial.unwrap_or_else(|| hash.finalize());

    let mut image = Extents::zeros(geometry.sectors * SECTOR);
    let used = clusters.used();
    crate::boot_sector::put(&mut image, &geometry, options, serial, label, root_cluster, used);
    let table: std::sync::Arc<[u8]> = clusters.table.into();
    for copy in 0..2 {
        image.put_bytes((geometry.table_start() + copy * geometry.table) * SECTOR, table.clone());
    }
    for (index, entries) in bytes.into_iter().enumerate() {
        let start = match cluster_of(index) {
            0 => geometry.root_start(),
            cluster => geometry.cluster_start(cluster.into()),
        };
        image.put_bytes(start * SECTOR, entries);
    }
    let mut places = BTreeMap::new();
    for (file, cluster) in files.into_iter().zip(file_clusters) {
        let start = geometry.cluster_start(cluster.into());
        image.put(start * SECTOR, file.content);
        places.insert(file.path, (start, file.content.len()));
    }
    Ok(Image {
        extents: image,
        kind: geometry.kind,
        files: places,
    })
}

fn file_facts(file: Option<&File>, cluster: Option<&u32>, options: &Options) -> Facts {
    let system = file.is_some_and(|file| options.system_files.contains(&file.path));
    let special = if system {
        folder::READ_ONLY | folder::HIDDEN | folder::SYSTEM
    } else {
        0
    };
    Facts {
        attributes: folder::ARCHIVE | special,
        time: file.map(|file| file.time).unwrap_or_default(),
        cluster: cluster.copied().unwrap_or_default(),
        // At most LARGEST_FILE.
        len: file.map_or(0, |file| file.content.len() as u32),
    }
}

/// The folders and files of a tree, a folder before what is in it.
fn collect(tree: &Tree) -> Result<(Vec<Folder<'_>>, Vec<File<'_>>), Error> {
    let mut folders: Vec<Folder> = Vec::new();
    let mut files = Vec::new();
    let mut by_path: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for item in tree.walk() {
        let cut = item.path.iter().rposition(|byte| *byte == b'/');
        let parent = by_path
            .get(item.path.get(..cut.unwrap_or(0)).unwrap_or_default())
            .copied();
        let child = match &item.node.kind {
            Kind::Directory(_) => {
                let index = folders.len();
                by_path.insert(item.path.clone(), index);
                folders.push(Folder {
                    path: item.path.clone(),
                    parent: parent.unwrap_or_default(),
                    time: item.node.meta.mtime,
                    children: Vec::new(),
                    names: Vec::new(),
                });
                Child::Folder(index)
            }
            Kind::File(content) if content.len() > LARGEST_FILE => {
                return Err(Error::LargeFile {
                    path: item.path,
                    len: content.len(),
                });
            }
            Kind::File(content) => {
                files.push(File {
                    path: item.path.clone(),
                    time: item.node.meta.mtime,
                    content,
                });
                Child::File(files.len() - 1)
            }
            _ => {
                return Err(Error::Kind {
                    what: kind(item.node),
                    path: item.path,
                });
            }
        };
        let entry = parent.and_then(|parent| tree_entry(tree, &item.path, cut).zip(folders.get_mut(parent)));
        if let Some((name, folder)) = entry {
            folder.children.push((name, child));
        }
    }
    Ok((folders, files))
}

/// The name at the end of a path, as the tree holds it.
fn tree_entry<'a>(tree: &'a Tree, path: &[u8], cut: Option<usize>) -> Option<&'a [u8]> {
    let (folder, name) = match cut {
        Some(cut) => (path.get(..cut)?, path.get(cut + 1..)?),
        None => (&path[..0], path),
    };
    match &tree.node(tree.lookup(folder)?).kind {
        Kind::Directory(entries) => entries.get_key_value(name).map(|(name, _)| name.as_slice()),
        _ => None,
    }
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        Kind::Directory(_) => "a folder",
        Kind::File(_) => "a file",
        Kind::Symlink(_) => "a symbolic link",
        Kind::CharDevice(_) | Kind::BlockDevice(_) => "a device",
        Kind::Fifo => "a named pipe",
        Kind::Socket => "a socket",
    }
}

/// A label as it stands in the boot sector and in the root folder.
fn label(label: &str) -> Result<Option<[u8; 11]>, Error> {
    let wrong = |what| {
        Err(Error::Label {
            label: label.to_owned(),
            what,
        })
    };
    if label.len() > 11 {
        return wrong("it has more than 11 characters");
    }
    if label
        .bytes()
        .any(|b| !(b' '..0x7f).contains(&b) || b"\"*+,./:;<=>?[\\]|".contains(&b))
        || label.starts_with(' ')
    {
        return wrong("a character in it is not allowed");
    }
    let mut bytes = [b' '; 11];
    for (to, from) in bytes.iter_mut().zip(label.bytes()) {
        *to = from.to_ascii_uppercase();
    }
    Ok((!label.is_empty()).then_some(bytes))
}

/// The clusters, given away in order; what stands in the table for them.
struct Clusters {
    kind: Type,
    cluster: u64,
    next: u32,
    table: Vec<u8>,
}

/// Marks the last cluster of a chain (FAT 1.03, "FAT Data Structure"); cut to the type's bits.
const END: u32 = 0x0fff_ffff;

impl Clusters {
    fn new(geometry: &Geometry) -> Self {
        let mut clusters = Clusters {
            kind: geometry.kind,
            cluster: geometry.per_cluster * SECTOR,
            next: 0,
            table: Vec::new(),
        };
        // The media descriptor, and the mark of a volume that was put away in order.
        clusters.entry(0x0fff_ff00 | u32::from(crate::boot_sector::MEDIA));
        clusters.entry(END);
        clusters
    }

    fn entry(&mut self, value: u32) {
        let at = self.next;
        self.next += 1;
        match self.kind {
            Type::Fat32 => self.table.extend_from_slice(&value.to_le_bytes()),
            Type::Fat16 => self.table.extend_from_slice(&(value as u16).to_le_bytes()),
            // Two entries in three bytes: the second begins in the middle of the second byte.
            Type::Fat12 if at.is_multiple_of(2) => {
                self.table.extend_from_slice(&[value as u8, (value >> 8 & 0xf) as u8])
            }
            Type::Fat12 => {
                if let Some(shared) = self.table.last_mut() {
                    *shared |= (value << 4) as u8;
                }
                self.table.push((value >> 4) as u8);
            }
        }
    }

    /// A chain of clusters in one piece; 0 for no bytes.
    fn allocate(&mut self, len: u64) -> u32 {
        let count = len.div_ceil(self.cluster);
        let first = self.next;
        for index in 1..=count {
            self.entry(if index == count { END } else { self.next + 1 });
        }
        if count == 0 { 0 } else { first }
    }

    /// How many clusters have been given away.
    fn used(&self) -> u64 {
        u64::from(self.next) - 2
    }
}
