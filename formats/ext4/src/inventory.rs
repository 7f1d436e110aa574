//! Inodes for the nodes of a tree, and everything that does not depend on the positions of blocks.

use std::collections::BTreeMap;
use std::ops::Range;

use extents::Extents;
use tree::{Device, Kind, Meta, NodeId, Tree};

use crate::checksum::Checksum;
use crate::directory;
use crate::entry_block::{Directory, Name, TYPE_DIRECTORY};
use crate::error::Error;
use crate::inode::{self, I_BLOCK, Inode};
use crate::options::Options;
use crate::xattr::{self, Attributes};
use crate::{BLOCK, MAX_FILE_LEN, MAX_INODES, MAX_LINKS};

/// Directory for the files that e2fsck finds, and the number of blocks that mke2fs gives it.
const LOST_FOUND: &[u8] = b"lost+found";
const LOST_FOUND_BLOCKS: usize = 4;

/// Inode of a node, with its content.
#[derive(Debug)]
pub struct PlannedInode<'a> {
    /// Node of the tree; none for a `lost+found` that is added.
    pub node: Option<NodeId>,
    pub inode: Inode,
    pub body: Body<'a>,
    pub attributes: Attributes,
}

/// Content of an inode.
#[derive(Debug)]
pub enum Body<'a> {
    /// Bytes in the inode itself, with the size of the file.
    Inline([u8; I_BLOCK], u64),
    /// Entries of a directory or target of a symbolic link.
    Bytes(Vec<u8>),
    /// Content of a file, and the ranges of its blocks that are not holes.
    File(&'a Extents, Vec<Range<u64>>),
}

impl Body<'_> {
    /// Returns the ranges of the blocks that are stored.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        match self {
            Body::Inline(..) => Vec::new(),
            Body::Bytes(bytes) => all_blocks(bytes.len() as u64),
            Body::File(_, ranges) => ranges.clone(),
        }
    }

    /// Returns the size of the file in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Body::Inline(_, size) => *size,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(content, _) => content.len(),
        }
    }
}

/// Returns all blocks of a length in bytes as ranges.
fn all_blocks(len: u64) -> Vec<Range<u64>> {
    let blocks = 0..len.div_ceil(BLOCK);
    if blocks.is_empty() { Vec::new() } else { vec![blocks] }
}

/// Inodes of a filesystem.
#[derive(Debug)]
pub struct Inventory<'a> {
    /// Inodes in order of their numbers.
    pub inodes: Vec<PlannedInode<'a>>,
    /// Number of the last inode in use.
    pub last_inode: u32,
}

/// Seeds of checksums and of the hashes of names.
#[derive(Clone, Copy, Debug)]
pub struct Hashing {
    pub checksum: Option<Checksum>,
    pub seed: [u32; 4],
}

/// Numbers the nodes and encodes everything that does not depend on the positions of blocks.
pub fn collect<'a>(tree: &'a Tree, options: &Options, hashing: Hashing) -> Result<Inventory<'a>, Error> {
    let survey = Survey::new(tree, options)?;
    let mut inventory = Inventory {
        inodes: Vec::new(),
        last_inode: survey.last_inode,
    };
    let mut seen = vec![false; tree.capacity()];
    for named in tree.walk() {
        if let Some(seen) = seen.get_mut(named.id.index())
            && !std::mem::replace(seen, true)
        {
            let planned = survey.plan(&named.path, named.id, &named.node.kind, &named.node.meta, hashing)?;
            inventory.inodes.push(planned);
        }
    }
    if survey.add_lost_found {
        let meta = Meta::new(0o700, options.time);
        let directory = Directory {
            inode: inode::LOST_FOUND,
            parent: inode::ROOT,
            checksum: hashing.checksum.map(|sum| sum.of_inode(inode::LOST_FOUND)),
            hash_seed: hashing.seed,
            min_blocks: LOST_FOUND_BLOCKS,
        };
        let bytes = directory::encode(&directory, &[])
            .map(|encoded| encoded.bytes)
            .unwrap_or_default();
        inventory.inodes.push(PlannedInode {
            node: None,
            inode: inode(inode::LOST_FOUND, inode::S_IFDIR, &meta, 2, inode::EXTENTS_FL),
            body: Body::Bytes(bytes),
            attributes: Attributes::default(),
        });
    }
    inventory.inodes.sort_by_key(|planned| planned.inode.number);
    Ok(inventory)
}

fn inode(number: u32, kind: u16, meta: &Meta, nlink: u32, flags: u32) -> Inode {
    Inode {
        number,
        mode: kind | (meta.mode & 0o7777) as u16,
        uid: meta.uid,
        gid: meta.gid,
        time: meta.mtime,
        // ext4, Directories: a link count of 1 marks a directory with more subdirectories than it counts.
        nlink: if nlink > MAX_LINKS { 1 } else { nlink as u16 },
        flags,
    }
}

/// Properties of a node that depend on the rest of the tree.
#[derive(Clone, Copy, Debug, Default)]
struct Derived {
    inode: u32,
    /// Link count; a directory is also counted by itself and by its subdirectories.
    nlink: u32,
    /// Inode of the parent directory.
    parent: u32,
    immutable: bool,
}

struct Survey<'a> {
    tree: &'a Tree,
    derived: Vec<Derived>,
    last_inode: u32,
    /// Set if the tree has no `lost+found`, so that one is added.
    add_lost_found: bool,
}

impl<'a> Survey<'a> {
    fn new(tree: &'a Tree, options: &Options) -> Result<Self, Error> {
        let mut survey = Survey {
            tree,
            derived: vec![Derived::default(); tree.capacity()],
            last_inode: inode::LOST_FOUND,
            add_lost_found: true,
        };
        survey.immutable(options)?;
        if let Kind::Directory(entries) = &tree.node(NodeId::ROOT).kind
            && let Some(entry) = entries.get(LOST_FOUND)
        {
            if !tree.node(entry.node).kind.is_directory() {
                return Err(Error::LostFound);
            }
            survey.add_lost_found = false;
            survey.change(entry.node, |derived| derived.inode = inode::LOST_FOUND);
        }
        survey.change(NodeId::ROOT, |derived| {
            derived.inode = inode::ROOT;
            derived.parent = inode::ROOT;
        });
        let mut last = u64::from(inode::LOST_FOUND);
        for named in tree.walk() {
            if survey.node(named.id).inode == 0 {
                last += 1;
                if last > MAX_INODES {
                    return Err(Error::Inodes { count: last });
                }
                survey.change(named.id, |derived| derived.inode = last as u32);
            }
            let nlink = if named.node.kind.is_directory() { 2 } else { 1 };
            survey.change(named.id, |derived| derived.nlink = derived.nlink.saturating_add(nlink));
            if let Kind::Directory(entries) = &named.node.kind {
                survey.directory(named.id, entries);
            }
        }
        if survey.add_lost_found {
            survey.change(NodeId::ROOT, |derived| derived.nlink = derived.nlink.saturating_add(1));
        }
        survey.last_inode = last as u32;
        Ok(survey)
    }

    fn immutable(&mut self, options: &Options) -> Result<(), Error> {
        for path in &options.immutable {
            let immutable_error = |fault| Error::Immutable {
                path: path.clone(),
                fault,
            };
            let id = self
                .tree
                .lookup(path)
                .ok_or_else(|| immutable_error("not in the tree"))?;
            if !matches!(self.tree.node(id).kind, Kind::File(_) | Kind::Directory(_)) {
                return Err(immutable_error("neither a file nor a directory"));
            }
            self.change(id, |derived| derived.immutable = true);
        }
        Ok(())
    }

    /// Records the parent of the subdirectories of a directory, and counts them.
    fn directory(&mut self, id: NodeId, entries: &BTreeMap<Vec<u8>, tree::Entry>) {
        let inode = self.node(id).inode;
        let mut directories = 0u32;
        for entry in entries.values() {
            if self.tree.node(entry.node).kind.is_directory() {
                directories = directories.saturating_add(1);
                self.change(entry.node, |derived| derived.parent = inode);
            }
        }
        self.change(id, |derived| derived.nlink = derived.nlink.saturating_add(directories));
    }

    fn node(&self, id: NodeId) -> Derived {
        self.derived.get(id.index()).copied().unwrap_or_default()
    }

    fn change(&mut self, id: NodeId, change: impl FnOnce(&mut Derived)) {
        if let Some(derived) = self.derived.get_mut(id.index()) {
            change(derived);
        }
    }

    fn plan(
        &self,
        path: &[u8],
        id: NodeId,
        kind: &'a Kind,
        meta: &Meta,
        hashing: Hashing,
    ) -> Result<PlannedInode<'a>, Error> {
        let derived = self.node(id);
        let mut flags = if derived.immutable { inode::IMMUTABLE_FL } else { 0 };
        let body = match kind {
            Kind::Directory(entries) => {
                let (bytes, indexed) = self.entries(path, id, entries, hashing)?;
                flags |= if indexed { inode::INDEX_FL } else { 0 };
                Body::Bytes(bytes)
            }
            Kind::File(content) if content.len() > MAX_FILE_LEN => {
                return Err(Error::LargeFile {
                    path: path.to_vec(),
                    len: content.len(),
                });
            }
            Kind::File(content) if derived.immutable => Body::File(content, all_blocks(content.len())),
            Kind::File(content) => Body::File(content, content.occupied(BLOCK)),
            Kind::Symlink(target) => link(target),
            Kind::CharDevice(device) | Kind::BlockDevice(device) => Body::Inline(device_number(path, *device)?, 0),
            Kind::Fifo | Kind::Socket => Body::Inline([0; I_BLOCK], 0),
        };
        if !matches!(body, Body::Inline(..)) {
            flags |= inode::EXTENTS_FL;
        }
        if derived.nlink > MAX_LINKS && !kind.is_directory() {
            return Err(Error::Links {
                path: path.to_vec(),
                nlink: derived.nlink,
            });
        }
        Ok(PlannedInode {
            node: Some(id),
            inode: inode(derived.inode, types(kind).0, meta, derived.nlink, flags),
            body,
            attributes: xattr::encode(path, &meta.xattrs)?,
        })
    }

    /// Encodes a directory; returns true with it if it has an index.
    fn entries(
        &self,
        path: &[u8],
        id: NodeId,
        entries: &BTreeMap<Vec<u8>, tree::Entry>,
        hashing: Hashing,
    ) -> Result<(Vec<u8>, bool), Error> {
        let derived = self.node(id);
        let mut names: Vec<Name> = entries
            .iter()
            .map(|(name, entry)| Name {
                name,
                inode: self.node(entry.node).inode,
                kind: types(&self.tree.node(entry.node).kind).1,
            })
            .collect();
        if id == NodeId::ROOT && self.add_lost_found {
            names.push(Name {
                name: LOST_FOUND,
                inode: inode::LOST_FOUND,
                kind: TYPE_DIRECTORY,
            });
            names.sort_by_key(|name| name.name);
        }
        let min_blocks = if derived.inode == inode::LOST_FOUND {
            LOST_FOUND_BLOCKS
        } else {
            1
        };
        let directory = Directory {
            inode: derived.inode,
            parent: derived.parent,
            checksum: hashing.checksum.map(|sum| sum.of_inode(derived.inode)),
            hash_seed: hashing.seed,
            min_blocks,
        };
        let encoded = directory::encode(&directory, &names).ok_or_else(|| Error::LargeDirectory {
            path: path.to_vec(),
            names: names.len(),
        })?;
        Ok((encoded.bytes, encoded.indexed))
    }
}

/// Returns the type in `i_mode`, and in directory entries (ext4, Directory Entries: `file_type`).
fn types(kind: &Kind) -> (u16, u8) {
    match kind {
        Kind::File(_) => (inode::S_IFREG, 1),
        Kind::Directory(_) => (inode::S_IFDIR, TYPE_DIRECTORY),
        Kind::CharDevice(_) => (inode::S_IFCHR, 3),
        Kind::BlockDevice(_) => (inode::S_IFBLK, 4),
        Kind::Fifo => (inode::S_IFIFO, 5),
        Kind::Socket => (inode::S_IFSOCK, 6),
        Kind::Symlink(_) => (inode::S_IFLNK, 7),
    }
}

/// Stores the target of a symbolic link, in the inode if it has less than 60 bytes (ext4, Symbolic
/// Links).
fn link<'a>(target: &[u8]) -> Body<'a> {
    if target.len() >= I_BLOCK {
        return Body::Bytes(target.to_vec());
    }
    let mut inline = [0; I_BLOCK];
    crate::bytes::put(&mut inline, 0, target);
    Body::Inline(inline, target.len() as u64)
}

/// Encodes a device number in `i_block`: in the old form of 16 bits if it fits, otherwise in the new
/// form at the second place.
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
