//! Assembly of inodes with everything that follows them on disk.

use extents::Extents;
use tree::{FileExtent, Kind, NodeId};

use crate::bytes::align;
use crate::contents::Stored;
use crate::directory::{self, Name};
use crate::error::Error;
use crate::head::{Bodies, Body, Head};
use crate::inode::{self, Inode, Layout};
use crate::inventory::{Inventory, NumberedNode};
use crate::options::Options;
use crate::placement::{Placement, SLOT};
use crate::{BLOCK, MAX_BLOCKS, index, xattr};

/// Block number of a chunk of zeros (`EROFS_NULL_ADDR`).
const NO_BLOCK: u32 = u32::MAX;

/// First blocks of the parts of a filesystem, and its end.
pub(crate) struct Areas {
    pub(crate) shared: u64,
    pub(crate) directories: u64,
    pub(crate) contents: u64,
    pub(crate) end: u32,
}

impl Areas {
    /// Places the parts one after another; lengths of attributes and contents are in bytes.
    pub(crate) fn new(
        inodes: &Placement,
        shared_len: usize,
        directories: u64,
        contents_len: u64,
    ) -> Result<Self, Error> {
        let shared = inodes.end();
        let directories_start = shared + (shared_len as u64).div_ceil(BLOCK);
        let contents = directories_start + directories;
        let mut blocks = contents + contents_len.div_ceil(BLOCK);
        if blocks == shared && inodes.is_full() {
            // fsck.erofs 1.5 reads a header of attributes after every inode, even one without any.
            blocks += 1;
        }
        if blocks > MAX_BLOCKS {
            return Err(Error::TooLarge { blocks });
        }
        Ok(Areas {
            shared,
            directories: directories_start,
            contents,
            end: blocks as u32,
        })
    }

    // Areas::new() checked that block numbers have 32 bits.

    fn directory(&self, start: u64) -> u32 {
        (self.directories + start) as u32
    }

    fn content(&self, start: u64) -> u32 {
        (self.contents + start) as u32
    }
}

/// Image under construction, up to the end of the inodes, and the directories after them.
pub(crate) struct Assembly<'p, 'a> {
    pub(crate) inventory: &'p Inventory<'a>,
    pub(crate) heads: &'p [Head],
    pub(crate) bodies: &'p Bodies,
    /// Offsets of the inodes in bytes.
    pub(crate) places: &'p [u64],
    pub(crate) areas: &'p Areas,
    pub(crate) options: &'p Options,
    pub(crate) image: Extents,
    /// Bytes after the end of `image`.
    pub(crate) pending: Vec<u8>,
    pub(crate) directories: Extents,
    /// Positions of plain file contents.
    pub(crate) files: Vec<(NodeId, FileExtent)>,
}

/// Maximum gap between inodes that is written as zeros instead of a hole, in bytes.
const SHORT_GAP: u64 = 256;

impl Assembly<'_, '_> {
    /// Writes all inodes and directories.
    pub(crate) fn write(&mut self) {
        let mut tails: Vec<Vec<u8>> = Vec::with_capacity(self.heads.len());
        for number in 0..self.heads.len() {
            let tail = self.put_bytes_of(number);
            tails.push(tail);
        }
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        order.sort_unstable_by_key(|number| self.places.get(*number));
        for number in order {
            let tail = tails.get_mut(number).map(std::mem::take).unwrap_or_default();
            self.put_inode(number, &tail);
        }
        self.flush();
    }

    /// Appends the complete blocks of a directory or target, and returns the tail.
    fn put_bytes_of(&mut self, number: usize) -> Vec<u8> {
        let Some((numbered, Body::Bytes { inline, .. })) =
            self.inventory.nodes.get(number).zip(self.bodies.all.get(number))
        else {
            return Vec::new();
        };
        let mut bytes = match &numbered.node.kind {
            Kind::Directory(_) => self.directory(number),
            Kind::Symlink(target) => target.clone(),
            _ => Vec::new(),
        };
        let len = bytes.len() as u64;
        let blocks_len = if *inline { len - len % BLOCK } else { len };
        let tail = bytes.split_off(blocks_len as usize);
        self.directories.push_bytes(bytes);
        self.directories.align_to(BLOCK);
        tail
    }

    fn directory(&self, number: usize) -> Vec<u8> {
        let names = self.inventory.names(number);
        let names = names.into_iter().map(|(name, number)| Name {
            name,
            nid: self.places.get(number).copied().unwrap_or_default() / SLOT,
            kind: self
                .inventory
                .nodes
                .get(number)
                .map_or(0, |numbered| inode::kind(&numbered.node.kind).1),
        });
        directory::encode(&names.collect::<Vec<_>>())
    }

    /// Puts an inode, its attributes and everything that follows them.
    fn put_inode(&mut self, number: usize, tail: &[u8]) {
        let Some((((numbered, head), body), place)) = self
            .inventory
            .nodes
            .get(number)
            .zip(self.heads.get(number))
            .zip(self.bodies.all.get(number))
            .zip(self.places.get(number))
        else {
            return;
        };
        let (layout, union) = self.layout(numbered, body);
        let meta = &numbered.node.meta;
        let inode = Inode {
            layout,
            xattr_icount: xattr::count(head.xattrs.len()),
            mode: inode::kind(&numbered.node.kind).0 | (meta.mode & 0o7777) as u16,
            nlink: numbered.nlink,
            size: head.size,
            union,
            ino: number as u32 + 1,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
        };
        let mut bytes = inode.encode(head.extended);
        bytes.extend_from_slice(&head.xattrs);
        bytes.extend_from_slice(tail);
        match body {
            Body::File(Stored::Chunks { starts, .. }) => {
                let blocks = starts
                    .iter()
                    .map(|start| start.map_or(NO_BLOCK, |start| self.areas.content(start)));
                bytes.extend(blocks.flat_map(u32::to_le_bytes));
            }
            Body::File(Stored::Pieces { pieces, .. }) => {
                align(&mut bytes, index::ALIGN as usize);
                let algorithm = self.options.compressor.algorithm();
                bytes.extend(index::encode(head.size, pieces, self.areas.contents, algorithm));
            }
            _ => {}
        }
        self.put(*place, &bytes);
        self.list_blocks(numbered, head, body);
        if let (Kind::File(content), Body::File(Stored::Flat { inline: true, .. })) = (&numbered.node.kind, body) {
            self.flush();
            let tail = head.size % BLOCK;
            self.add_file(numbered.id, head.size - tail, self.image.len(), tail);
            self.image.push(&content.part(head.size - tail, tail));
        }
    }

    /// Returns the layout of the content, and the field with its position.
    fn layout(&self, numbered: &NumberedNode<'_>, body: &Body) -> (Layout, u32) {
        let flat = |inline: bool| if inline { Layout::Inline } else { Layout::Plain };
        match (body, &numbered.node.kind) {
            (Body::Bytes { start, inline }, _) => (flat(*inline), self.areas.directory(*start)),
            (Body::File(Stored::Flat { start, inline }), _) => (flat(*inline), self.areas.content(*start)),
            // At most the number of blocks of the filesystem.
            (Body::File(Stored::Pieces { blocks, .. }), _) => (Layout::Compressed, *blocks as u32),
            (Body::File(Stored::Chunks { doublings, .. }), _) => (Layout::Chunks, u32::from(*doublings)),
            (Body::Nothing, Kind::CharDevice(device) | Kind::BlockDevice(device)) => (Layout::Plain, device.encoded()),
            (Body::Nothing, _) => (Layout::Plain, 0),
        }
    }

    /// Records the complete blocks of a content that is stored as it is.
    fn list_blocks(&mut self, numbered: &NumberedNode<'_>, head: &Head, body: &Body) {
        let Body::File(stored) = body else { return };
        let offset = |start: u64| (self.areas.contents + start) * BLOCK;
        match stored {
            Stored::Flat { start, inline } => {
                let len = if *inline {
                    head.size - head.size % BLOCK
                } else {
                    head.size
                };
                self.add_file(numbered.id, 0, offset(*start), len);
            }
            Stored::Chunks { doublings, starts } => {
                let size = BLOCK << doublings;
                let stored = (0..).step_by(size as usize).zip(starts);
                let extents: Vec<(u64, u64)> = stored
                    .filter_map(|(logical, start)| Some((logical, offset((*start)?))))
                    .collect();
                for (logical, physical) in extents {
                    self.add_file(numbered.id, logical, physical, size.min(head.size - logical));
                }
            }
            Stored::Pieces { .. } => {}
        }
    }

    fn add_file(&mut self, node: NodeId, logical: u64, physical: u64, len: u64) {
        let extent = FileExtent { logical, physical, len };
        if len > 0 {
            self.files.push((node, extent));
        }
    }

    /// Appends bytes at an offset after everything that was put before.
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let gap = at.saturating_sub(self.image.len() + self.pending.len() as u64);
        if gap <= SHORT_GAP {
            self.pending.resize(self.pending.len() + gap as usize, 0);
        } else {
            self.flush();
            self.image.set_len(at);
        }
        self.pending.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        self.image.push_bytes(std::mem::take(&mut self.pending));
    }
}
