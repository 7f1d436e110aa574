//! Tables of inodes and directories.
//!
//! All inodes of a directory are contiguous, in the order of the names, so that the listing of the
//! directory needs few headers. The inode of a directory is therefore next to those of its siblings,
//! after everything below it, and that of the root is the last.

use tree::{Kind, Node, NodeId, Tree};

use crate::data::{Data, Stored};
use crate::directory::{self, Listing, Name};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::id_table::Ids;
use crate::inode::{self, Content, Inode, kind};
use crate::metadata::{Metadata, Place};
use crate::options::{Options, seconds};
use crate::survey::{Survey, set, slot};
use crate::xattr::Xattrs;

/// Tables of a filesystem.
pub(crate) struct Nodes<'a> {
    pub(crate) inodes: Metadata,
    pub(crate) directories: Metadata,
    pub(crate) xattrs: Xattrs<'a>,
    pub(crate) ids: Ids,
    /// Places of the inodes, in order of their numbers from 1 on.
    pub(crate) places: Vec<Place>,
}

impl<'a> Nodes<'a> {
    /// Encodes all inodes and directories.
    pub(crate) fn encode(tree: &'a Tree, options: &Options, survey: &Survey<'a>, data: &Data) -> Result<Self, Error> {
        let encoder = || Encoder::new(options.compressor, options.block_size);
        let numbers = numbers(tree, &survey.directories);
        let mut nodes = Nodes {
            inodes: Metadata::new(encoder()),
            directories: Metadata::new(encoder()),
            xattrs: Xattrs::new(encoder()),
            ids: survey.ids.clone(),
            places: Vec::with_capacity(survey.directories.len() + survey.files.len()),
        };
        let mut listings: Vec<Option<Listing>> = vec![None; tree.capacity()];
        let mut writer = Writer {
            tree,
            nodes: &mut nodes,
            options,
            survey,
            data,
            numbers: &numbers,
        };
        for (directory, path) in survey.directories.iter().rev() {
            let Kind::Directory(entries) = &tree.node(*directory).kind else {
                continue;
            };
            let parent = slot(&numbers, *directory);
            for entry in entries.values() {
                let listing = listings.get_mut(entry.node.index()).and_then(Option::take);
                writer.inode(tree.node(entry.node), entry.node, listing.as_ref(), parent)?;
            }
            let places = &writer.nodes.places;
            let names = entries.iter().map(|(name, entry)| {
                let number = slot(&numbers, entry.node);
                Name {
                    name,
                    place: places
                        .get((number as usize).wrapping_sub(1))
                        .copied()
                        .unwrap_or_default(),
                    number,
                    kind: kind_of(tree.node(entry.node)),
                }
            });
            let listing = directory::push(&mut writer.nodes.directories, path, names)?;
            set(&mut listings, *directory, Some(listing));
        }
        let listing = listings.get_mut(NodeId::ROOT.index()).and_then(Option::take);
        // The root has no parent: mksquashfs stores the first unused number.
        let unused = slot(&numbers, NodeId::ROOT).saturating_add(1);
        writer.inode(tree.node(NodeId::ROOT), NodeId::ROOT, listing.as_ref(), unused)?;
        Ok(nodes)
    }
}

/// Numbers the inodes from 1 on, in the order of their encoding.
fn numbers(tree: &Tree, directories: &[(NodeId, Vec<u8>)]) -> Vec<u32> {
    let mut numbers = vec![0u32; tree.capacity()];
    let mut next = 1;
    let mut assign = |id| {
        if slot(&numbers, id) == 0 {
            set(&mut numbers, id, next);
            next = next.saturating_add(1);
        }
    };
    for (directory, _) in directories.iter().rev() {
        if let Kind::Directory(entries) = &tree.node(*directory).kind {
            entries.values().for_each(|entry| assign(entry.node));
        }
    }
    assign(NodeId::ROOT);
    numbers
}

fn kind_of(node: &Node) -> u16 {
    match node.kind {
        Kind::Directory(_) => kind::DIRECTORY,
        Kind::File(_) => kind::FILE,
        Kind::Symlink(_) => kind::SYMLINK,
        Kind::CharDevice(_) => kind::CHAR_DEVICE,
        Kind::BlockDevice(_) => kind::BLOCK_DEVICE,
        Kind::Fifo => kind::FIFO,
        Kind::Socket => kind::SOCKET,
    }
}

struct Writer<'w, 'a> {
    tree: &'a Tree,
    nodes: &'w mut Nodes<'a>,
    options: &'w Options,
    survey: &'w Survey<'a>,
    data: &'w Data,
    numbers: &'w [u32],
}

impl<'a> Writer<'_, 'a> {
    /// Encodes an inode, unless an earlier name did.
    fn inode(&mut self, node: &'a Node, id: NodeId, listing: Option<&Listing>, parent: u32) -> Result<(), Error> {
        let number = slot(self.numbers, id);
        if number as usize <= self.nodes.places.len() {
            return Ok(());
        }
        let missing = Listing::default();
        let nothing = Stored::default();
        let mut nlink = slot(&self.survey.nlink, id);
        let content = match &node.kind {
            Kind::Directory(entries) => {
                let directories = entries
                    .values()
                    .filter(|entry| self.tree.node(entry.node).kind.is_directory());
                nlink = u32::try_from(directories.count()).unwrap_or(u32::MAX).saturating_add(2);
                Content::Directory {
                    listing: listing.unwrap_or(&missing),
                    parent,
                }
            }
            Kind::File(_) => Content::File {
                stored: self
                    .data
                    .stored
                    .get(slot(&self.survey.file_index, id) as usize)
                    .unwrap_or(&nothing),
                block_size: self.options.block_size,
            },
            Kind::Symlink(target) => Content::Symlink(target),
            Kind::CharDevice(device) | Kind::BlockDevice(device) => Content::Device(*device),
            Kind::Fifo | Kind::Socket => Content::Fifo,
        };
        let meta = &node.meta;
        let inode = Inode {
            kind: kind_of(node),
            mode: (meta.mode & 0o7777) as u16,
            // The survey put both into the table.
            uid: self.nodes.ids.index(meta.uid).unwrap_or_default(),
            gid: self.nodes.ids.index(meta.gid).unwrap_or_default(),
            mtime: seconds(meta.mtime),
            number,
            nlink,
            xattr: self.nodes.xattrs.number(meta)?,
        };
        let place = inode::push(&mut self.nodes.inodes, &inode, &content)?;
        self.nodes.places.push(place);
        Ok(())
    }
}
