//! Planning of a filesystem from a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use extents::Extents;
use tree::{FileExtent, Image, Kind, Node, NodeId, Time, Tree};

use crate::boot_sector;
use crate::clusters::Clusters;
use crate::directory::{self, ENTRY, Fields, Name};
use crate::error::Error;
use crate::geometry::{Content, Geometry};
use crate::options::{Options, Type};
use crate::{MAX_FILE_LEN, SECTOR};

/// Directory of the tree.
struct Directory<'a> {
    path: Vec<u8>,
    /// Index of the parent directory.
    parent: usize,
    time: Time,
    children: Vec<(&'a [u8], Child)>,
    names: Vec<Name>,
}

/// Index of a directory or file.
#[derive(Clone, Copy)]
enum Child {
    Directory(usize),
    File(usize),
}

/// Name of a file of the tree.
struct File<'a> {
    path: Vec<u8>,
    id: NodeId,
    time: Time,
    content: &'a Extents,
}

/// Plans a filesystem with the directories and files of a tree. The length of the filesystem
/// grows with the content unless [`Options::size`] is set.
///
/// [`Image::file_extents`] has the first name of each file, in one extent.
///
/// # Errors
/// Nodes, names and lengths that FAT does not allow, and options that contradict each other.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    let label = label(&options.label)?;
    let (mut directories, files) = collect(tree)?;
    // The root has an entry for the label, the other directories have "." and "..".
    let more = |index: usize| if index == 0 { usize::from(label.is_some()) } else { 2 };
    for (index, directory) in directories.iter_mut().enumerate() {
        let names = directory.children.iter().map(|(name, _)| *name);
        directory.names = directory::name(&directory.path, names, more(index))?;
    }
    let lengths: Vec<u64> = directories
        .iter()
        .enumerate()
        .map(|(index, directory)| directory::bytes(&directory.names) + (more(index) * ENTRY) as u64)
        .collect();
    let root = lengths.first().copied().unwrap_or_default();
    let file_lengths = files.iter().map(|file| file.content.len());
    let content = Content {
        root,
        lengths: lengths.iter().skip(1).copied().chain(file_lengths).collect(),
    };
    let geometry = Geometry::choose(&content, options)?;

    let mut clusters = Clusters::new(&geometry);
    let root_cluster = match geometry.kind {
        Type::Fat32 => clusters.allocate(root.max(1)),
        _ => 0,
    };
    let mut directory_clusters = vec![root_cluster];
    directory_clusters.extend(lengths.iter().skip(1).map(|len| clusters.allocate(*len)));
    let file_clusters: Vec<u32> = files.iter().map(|file| clusters.allocate(file.content.len())).collect();
    let entries = Entries {
        directories: &directories,
        files: &files,
        directory_clusters: &directory_clusters,
        file_clusters: &file_clusters,
        label,
        options,
    };
    let encoded: Vec<Vec<u8>> = (0..directories.len()).map(|index| entries.encode(index)).collect();

    let mut hash = crc32fast::Hasher::new();
    encoded.iter().for_each(|entries| hash.update(entries));
    hash.update(clusters.table());
    let serial = options.serial.unwrap_or_else(|| hash.finalize());

    let mut image = Extents::zeros(geometry.sectors * SECTOR);
    let used = clusters.used();
    boot_sector::put(&mut image, &geometry, options, serial, label, root_cluster, used);
    let table: Arc<[u8]> = clusters.table().into();
    for copy in 0..2 {
        image.put_bytes((geometry.table_start() + copy * geometry.table) * SECTOR, table.clone());
    }
    for (entries, cluster) in encoded.into_iter().zip(directory_clusters) {
        let start = match cluster {
            0 => geometry.root_start(),
            cluster => geometry.cluster_start(cluster.into()),
        };
        image.put_bytes(start * SECTOR, entries);
    }
    let mut seen = BTreeSet::new();
    let mut file_extents = Vec::new();
    for (file, cluster) in files.iter().zip(file_clusters) {
        let physical = geometry.cluster_start(cluster.into()) * SECTOR;
        image.put(physical, file.content);
        let len = file.content.len();
        if len > 0 && seen.insert(file.id) {
            let extent = FileExtent {
                logical: 0,
                physical,
                len,
            };
            file_extents.push((file.id, extent));
        }
    }
    Ok(Image::new(image, None, file_extents))
}

/// Everything that directory entries refer to.
struct Entries<'a> {
    directories: &'a [Directory<'a>],
    files: &'a [File<'a>],
    /// First clusters, by index of the directory.
    directory_clusters: &'a [u32],
    /// First clusters, by index of the file.
    file_clusters: &'a [u32],
    label: Option<[u8; 11]>,
    options: &'a Options,
}

impl Entries<'_> {
    /// Encodes the entries of a directory.
    fn encode(&self, index: usize) -> Vec<u8> {
        let mut entries = Vec::new();
        let Some(directory) = self.directories.get(index) else {
            return entries;
        };
        match (index, self.label) {
            (0, Some(label)) => {
                let fields = Fields {
                    attributes: directory::VOLUME_ID,
                    ..self.directory_fields(0, self.options.time)
                };
                directory::push_short(&mut entries, &label, &fields);
            }
            (0, None) => {}
            _ => {
                // FAT 1.03: ".." of a directory in the root has cluster 0, on FAT32 too.
                let parent = match directory.parent {
                    0 => 0,
                    parent => self.directory_cluster(parent),
                };
                let own = self.directory_fields(self.directory_cluster(index), directory.time);
                directory::push_short(&mut entries, b".          ", &own);
                let upper = self.directory_fields(parent, directory.time);
                directory::push_short(&mut entries, b"..         ", &upper);
            }
        }
        for ((_, child), name) in directory.children.iter().zip(&directory.names) {
            let fields = match child {
                Child::Directory(child) => {
                    let time = self.directories.get(*child).map(|directory| directory.time);
                    self.directory_fields(self.directory_cluster(*child), time.unwrap_or_default())
                }
                Child::File(file) => self.file_fields(*file),
            };
            directory::push(&mut entries, name, &fields);
        }
        entries
    }

    fn directory_cluster(&self, index: usize) -> u32 {
        self.directory_clusters.get(index).copied().unwrap_or_default()
    }

    fn directory_fields(&self, cluster: u32, time: Time) -> Fields {
        Fields {
            attributes: directory::DIRECTORY,
            time,
            cluster,
            len: 0,
        }
    }

    fn file_fields(&self, index: usize) -> Fields {
        let file = self.files.get(index);
        let system = file.is_some_and(|file| self.options.system_files.contains(&file.path));
        let special = if system {
            directory::READ_ONLY | directory::HIDDEN | directory::SYSTEM
        } else {
            0
        };
        Fields {
            attributes: directory::ARCHIVE | special,
            time: file.map(|file| file.time).unwrap_or_default(),
            cluster: self.file_clusters.get(index).copied().unwrap_or_default(),
            // At most MAX_FILE_LEN.
            len: file.map_or(0, |file| file.content.len() as u32),
        }
    }
}

/// Collects the directories and files of a tree, a directory before its entries.
fn collect(tree: &Tree) -> Result<(Vec<Directory<'_>>, Vec<File<'_>>), Error> {
    let mut directories: Vec<Directory> = Vec::new();
    let mut files = Vec::new();
    let mut by_path: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for named in tree.walk() {
        let cut = named.path.iter().rposition(|byte| *byte == b'/');
        let parent = by_path
            .get(named.path.get(..cut.unwrap_or(0)).unwrap_or_default())
            .copied();
        let child = match &named.node.kind {
            Kind::Directory(_) => {
                let index = directories.len();
                by_path.insert(named.path.clone(), index);
                directories.push(Directory {
                    path: named.path.clone(),
                    parent: parent.unwrap_or_default(),
                    time: named.node.meta.mtime,
                    children: Vec::new(),
                    names: Vec::new(),
                });
                Child::Directory(index)
            }
            Kind::File(content) if content.len() > MAX_FILE_LEN => {
                return Err(Error::LargeFile {
                    path: named.path,
                    len: content.len(),
                });
            }
            Kind::File(content) => {
                files.push(File {
                    path: named.path.clone(),
                    id: named.id,
                    time: named.node.meta.mtime,
                    content,
                });
                Child::File(files.len() - 1)
            }
            _ => {
                return Err(Error::Kind {
                    kind: kind(named.node),
                    path: named.path,
                });
            }
        };
        let entry = parent.and_then(|parent| tree_entry(tree, &named.path, cut).zip(directories.get_mut(parent)));
        if let Some((name, directory)) = entry {
            directory.children.push((name, child));
        }
    }
    Ok((directories, files))
}

/// Returns the name at the end of a path, borrowed from the tree.
fn tree_entry<'a>(tree: &'a Tree, path: &[u8], cut: Option<usize>) -> Option<&'a [u8]> {
    let (directory, name) = match cut {
        Some(cut) => (path.get(..cut)?, path.get(cut + 1..)?),
        None => (&path[..0], path),
    };
    match &tree.node(tree.lookup(directory)?).kind {
        Kind::Directory(entries) => entries.get_key_value(name).map(|(name, _)| name.as_slice()),
        _ => None,
    }
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        Kind::Directory(_) => "a directory",
        Kind::File(_) => "a file",
        Kind::Symlink(_) => "a symbolic link",
        Kind::CharDevice(_) | Kind::BlockDevice(_) => "a device",
        Kind::Fifo => "a named pipe",
        Kind::Socket => "a socket",
    }
}

/// Encodes the label for the boot sector and the root directory.
fn label(label: &str) -> Result<Option<[u8; 11]>, Error> {
    let label_error = |fault| {
        Err(Error::Label {
            label: label.to_owned(),
            fault,
        })
    };
    if label.len() > 11 {
        return label_error("it has more than 11 characters");
    }
    if label
        .bytes()
        .any(|b| !(b' '..0x7f).contains(&b) || b"\"*+,./:;<=>?[\\]|".contains(&b))
        || label.starts_with(' ')
    {
        return label_error("it has a character that is not allowed");
    }
    let mut bytes = [b' '; 11];
    for (to, from) in bytes.iter_mut().zip(label.bytes()) {
        *to = from.to_ascii_uppercase();
    }
    Ok((!label.is_empty()).then_some(bytes))
}
