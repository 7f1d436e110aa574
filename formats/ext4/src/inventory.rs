//! What is to be stored: an inode for each node of the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use extents::Extents;
use tree::{Device, Kind, Meta, NodeId, Tree};

use crate::checksum::Checksum;
use crate::directory::{self, Folder, Name};
use crate::inode::{self, I_BLOCK, Inode};
use crate::xattr::{self, Attributes};
use crate::{BLOCK, Error, LARGEST_FILE, MOST_INODES, MOST_LINKS, Options};

/// The folder for what e2fsck finds, and the blocks that mke2fs gives it in advance.
const LOST_FOUND: &[u8] = b"lost+found";
const LOST_FOUND_BLOCKS: usize = 4;

/// An inode with what it is the inode of.
#[derive(Debug)]
pub struct Item<'a> {
    pub inode: Inode,
    pub body: Body<'a>,
    pub attributes: Attributes,
}

/// What belongs to an inode.
#[derive(Debug)]
pub enum Body<'a> {
    /// Something that stands in the inode itself, with its size.
    Inline([u8; I_BLOCK], u64),
    /// The entries of a folder or the target of a link.
    Bytes(Vec<u8>),
    /// A file, and those of its blocks that are not holes.
    File(&'a Extents, Vec<Range<u64>>),
}

impl Body<'_> {
    /// The ranges of its blocks that are stored.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        match self {
            Body::Inline(..) => Vec::new(),
            Body::Bytes(bytes) => whole(bytes.len() as u64),
            Body::File(_, ranges) => ranges.clone(),
        }
    }

    /// The size that the inode says.
    pub fn size(&self) -> u64 {
        match self {
            Body::Inline(_, size) => *size,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(content, _) => content.len(),
        }
    }
}

/// All blocks of so many bytes, as ranges.
fn whole(len: u64) -> Vec<Range<u64>> {
    let blocks = 0..len.div_ceil(BLOCK);
    if blocks.is_empty() { Vec::new() } else { vec![blocks] }
}

/// All that is to be stored.
#[derive(Debug)]
pub struct Inventory<'a> {
    /// In order of the numbers of the inodes.
    pub items: Vec<Item<'a>>,
    /// The number of the last inode in use.
    pub last_inode: u32,
    /// The inode of each file by path.
    pub files: BTreeMap<Vec<u8>, u32>,
}

/// What the blocks of folders depend on.
#[derive(Clone, Copy, Debug)]
pub struct Hashing {
    pub checksum: Option<Checksum>,
    pub seed: [u32; 4],
}

/// Numbers the nodes and lays out what does not depend on the places of blocks.
pub fn take<'a>(tree: &'a Tree, options: &Options, hashing: Hashing) -> Result<Inventory<'a>, Error> {
    let survey = Survey::new(tree, options)?;
    let mut inventory = Inventory {
        items: Vec::new(),
        last_inode: survey.last_inode,
        files: BTreeMap::new(),
    };
    let mut seen = BTreeSet::new();
    for item in tree.walk() {
        let node = survey.node(item.id);
        if matches!(item.node.kind, Kind::File(_)) {
            inventory.files.insert(item.path.clone(), node.inode);
        }
        if seen.insert(item.id) {
            let made = survey.item(&item.path, item.id, &item.node.kind, &item.node.meta, hashing)?;
            inventory.items.push(made);
        }
    }
    if survey.own_lost_found {
        let meta = Meta::new(0o700, options.time);
        let folder = Folder {
            inode: inode::LOST_FOUND,
            parent: inode::ROOT,
            checksum: hashing.checksum.map(|sum| sum.of_inode(inode::LOST_FOUND)),
            hash_seed: hashing.seed,
            least_blocks: LOST_FOUND_BLOCKS,
        };
        let bytes = folder.encode(&[]).map(|encoded| encoded.bytes).unwrap_or_default();
        inventory.items.push(Item {
            inode: head(inode::LOST_FOUND, inode::S_IFDIR, &meta, 2, inode::EXTENTS_FL),
            body: Body::Bytes(bytes),
            attributes: Attributes::default(),
        });
    }
    inventory.items.sort_by_key(|item| item.inode.number);
    Ok(inventory)
}

fn head(number: u32, kind: u16, meta: &Meta, links: u32, flags: u32) -> Inode {
    Inode {
        number,
        mode: kind | (meta.mode & 0o7777) as u16,
        uid: meta.uid,
        gid: meta.gid,
        time: meta.mtime,
        // ext4, Directories: one link means that a folder has more subfolders than can be counted.
        links: if links > MOST_LINKS { 1 } else { links as u16 },
        flags,
    }
}

/// What is known of a node before its blocks are made.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    inode: u32,
    /// Names of a file; of a folder with those in the folders in it.
    links: u32,
    /// The inode of the folder above.
    parent: u32,
    immutable: bool,
}

struct Survey<'a> {
    tree: &'a Tree,
    known: Vec<Known>,
    last_inode: u32,
    /// Whether the tree has no folder for what is lost.
    own_lost_found: bool,
}

impl<'a> Survey<'a> {
    fn new(tree: &'a Tree, options: &Options) -> Result<Self, Error> {
        let mut survey = Survey {
            tree,
            known: vec![Known::default(); tree.capacity()],
            last_inode: inode::LOST_FOUND,
            own_lost_found: true,
        };
        survey.immutable(options)?;
        if let Kind::Directory(entries) = &tree.node(NodeId::ROOT).kind
            && let Some(entry) = entries.get(LOST_FOUND)
        {
            if !tree.node(entry.node).kind.is_directory() {
                return Err(Error::LostFound);
            }
            survey.own_lost_found = false;
            survey.change(entry.node, |known| known.inode = inode::LOST_FOUND);
        }
        survey.change(NodeId::ROOT, |known| {
            known.inode = inode::ROOT;
            known.parent = inode::ROOT;
        });
        let mut last = u64::from(inode::LOST_FOUND);
        for item in tree.walk() {
            if survey.node(item.id).inode == 0 {
                last += 1;
                if last > MOST_INODES {
                    return Err(Error::Inodes { count: last });
                }
                survey.change(item.id, |known| known.inode = last as u32);
            }
            let links = if item.node.kind.is_directory() { 2 } else { 1 };
            survey.change(item.id, |known| known.links = known.links.saturating_add(links));
            if let Kind::Directory(entries) = &item.node.kind {
                survey.folder(item.id, entries);
            }
        }
        if survey.own_lost_found {
            survey.change(NodeId::ROOT, |known| known.links = known.links.saturating_add(1));
        }
        survey.last_inode = last as u32;
        Ok(survey)
    }

    fn immutable(&mut self, options: &Options) -> Result<(), Error> {
        for path in &options.immutable {
            let wrong = |what| Error::Immutable {
                path: path.clone(),
                what,
            };
            let id = self.tree.lookup(path).ok_or_else(|| wrong("not in the tree"))?;
            if !matches!(self.tree.node(id).kind, Kind::File(_) | Kind::Directory(_)) {
                return Err(wrong("neither a file nor a folder"));
            }
            self.change(id, |known| known.immutable = true);
        }
        Ok(())
    }

    /// Tells the folders in a folder where they are.
    fn folder(&mut self, id: NodeId, entries: &BTreeMap<Vec<u8>, tree::Entry>) {
        let inode = self.node(id).inode;
        let mut folders = 0u32;
        for entry in entries.values() {
            if self.tree.node(entry.node).kind.is_directory() {
                folders = folders.saturating_add(1);
                self.change(entry.node, |known| known.parent = inode);
            }
        }
        self.change(id, |known| known.links = known.links.saturating_add(folders));
    }

    fn node(&self, id: NodeId) -> Known {
        self.known.get(id.index()).copied().unwrap_or_default()
    }

    fn change(&mut self, id: NodeId, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known.get_mut(id.index()) {
            change(known);
        }
    }

    fn item(&self, path: &[u8], id: NodeId, kind: &'a Kind, meta: &Meta, hashing: Hashing) -> Result<Item<'a>, Error> {
        let known = self.node(id);
        let mut flags = if known.immutable { inode::IMMUTABLE_FL } else { 0 };
        let body = match kind {
            Kind::Directory(entries) => {
                let (bytes, indexed) = self.entries(path, id, entries, hashing)?;
                flags |= if indexed { inode::INDEX_FL } else { 0 };
                Body::Bytes(bytes)
            }
            Kind::File(content) if content.len() > LARGEST_FILE => {
                return Err(Error::LargeFile {
                    path: path.to_vec(),
                    len: content.len(),
                });
            }
            Kind::File(content) if known.immutable => Body::File(content, whole(content.len())),
            Kind::File(content) => Body::File(content, content.occupied(BLOCK)),
            Kind::Symlink(target) => link(target),
            Kind::CharDevice(device) | Kind::BlockDevice(device) => Body::Inline(device_number(path, *device)?, 0),
            Kind::Fifo | Kind::Socket => Body::Inline([0; I_BLOCK], 0),
        };
        if !matches!(body, Body::Inline(..)) {
            flags |= inode::EXTENTS_FL;
        }
        if known.links > MOST_LINKS && !kind.is_directory() {
            return Err(Error::Links {
                path: path.to_vec(),
                links: known.links,
            });
        }
        Ok(Item {
            inode: head(known.inode, types(kind).0, meta, known.links, flags),
            body,
            attributes: xattr::encode(path, &meta.xattrs)?,
        })
    }

    /// The blocks of a folder, and whether it has an index.
    fn entries(
        &self,
        path: &[u8],
        id: NodeId,
        entries: &BTreeMap<Vec<u8>, tree::Entry>,
        hashing: Hashing,
    ) -> Result<(Vec<u8>, bool), Error> {
        let known = self.node(id);
        let mut names: Vec<Name> = entries
            .iter()
            .map(|(name, entry)| Name {
                name,
                inode: self.node(entry.node).inode,
                kind: types(&self.tree.node(entry.node).kind).1,
            })
            .collect();
        if id == NodeId::ROOT && self.own_lost_found {
            names.push(Name {
                name: LOST_FOUND,
                inode: inode::LOST_FOUND,
                kind: directory::TYPE_DIRECTORY,
            });
            names.sort_by_key(|name| name.name);
        }
        let least_blocks = if known.inode == inode::LOST_FOUND {
            LOST_FOUND_BLOCKS
        } else {
            1
        };
        let folder = Folder {
            inode: known.inode,
            parent: known.parent,
            checksum: hashing.checksum.map(|sum| sum.of_inode(known.inode)),
            hash_seed: hashing.seed,
            least_blocks,
        };
        let encoded = folder.encode(&names).ok_or_else(|| Error::LargeFolder {
            path: path.to_vec(),
            names: names.len(),
        })?;
        Ok((encoded.bytes, encoded.indexed))
    }
}

/// The type in `i_mode`, and in entries of folders (ext4, Directory Entries: `file_type`).
fn types(kind: &Kind) -> (u16, u8) {
    match kind {
        Kind::File(_) => (inode::S_IFREG, 1),
        Kind::Directory(_) => (inode::S_IFDIR, directory::TYPE_DIRECTORY),
        Kind::CharDevice(_) => (inode::S_IFCHR, 3),
        Kind::BlockDevice(_) => (inode::S_IFBLK, 4),
        Kind::Fifo => (inode::S_IFIFO, 5),
        Kind::Socket => (inode::S_IFSOCK, 6),
        Kind::Symlink(_) => (inode::S_IFLNK, 7),
    }
}

/// A target of less than 60 bytes stands in the inode (ext4, Symbolic Links).
fn link<'a>(target: &[u8]) -> Body<'a> {
    if target.len() >= I_BLOCK {
        return Body::Bytes(target.to_vec());
    }
    let mut inline = [0; I_BLOCK];
    crate::bytes::put(&mut inline, 0, target);
    Body::Inline(inline, target.len() as u64)
}

/// A device number in `i_block`: as Linux had it first when it fits, at the second place else.
fn device_number(path: &[u8], device: Device) -> Result<[u8; I_BLOCK], Error> {
    let Device { major, minor } = device;
    if major > 0xfff || minor > 0xf_ffff {
        return Err(Error::Device {
            path: path.to_vec(),
            major,
            minor,
        });
    }
    let mut inline = [0; I_BLOCK];
    if major < 0x100 && minor < 0x100 {
        crate::bytes::put32(&mut inline, 0, major << 8 | minor);
    } else {
        crate::bytes::put32(&mut inline, 4, (minor & 0xff) | major << 8 | (minor & !0xff) << 12);
    }
    Ok(inline)
}
