//! Assembly of the image from inodes, blocks and file contents.

use std::collections::BTreeMap;
use std::sync::Arc;

use extents::Extents;
use tree::Time;

use crate::checksum::Checksum;
use crate::inode::{self, Content, INODE, Inode};
use crate::inventory::{Body, Inventory};
use crate::layout::{Layout, Placement};
use crate::{BLOCK, extent_tree, journal, resize_inode, xattr};

/// Part of the image.
enum Piece<'a> {
    Bytes(Arc<[u8]>),
    /// Content of a file, with offset and length in bytes.
    File(&'a Extents, u64, u64),
}

/// Collector of the parts of an image.
pub struct Writer<'a> {
    checksum: Option<Checksum>,
    time: Time,
    layout: &'a Layout,
    /// Parts by offset in bytes, in any order.
    pieces: Vec<(u64, Piece<'a>)>,
    /// Encoded inodes by number.
    inodes: BTreeMap<u32, [u8; INODE]>,
}

impl<'a> Writer<'a> {
    pub fn new(layout: &'a Layout, checksum: Option<Checksum>, time: Time) -> Self {
        Writer {
            checksum,
            time,
            layout,
            pieces: Vec::new(),
            inodes: BTreeMap::new(),
        }
    }

    /// Puts bytes at an offset.
    pub fn bytes(&mut self, offset: u64, bytes: impl Into<Arc<[u8]>>) {
        self.pieces.push((offset, Piece::Bytes(bytes.into())));
    }

    /// Writes the inodes that no name refers to: the one that reserves blocks for descriptors, and
    /// the journal. Returns `i_block` and length in bytes of the journal.
    pub fn reserved_inodes(&mut self) -> Option<([u8; inode::I_BLOCK], u64)> {
        let layout = self.layout;
        let inode_of = |number, flags, time| Inode {
            number,
            mode: inode::S_IFREG | 0o600,
            uid: 0,
            gid: 0,
            time,
            nlink: 1,
            flags,
        };
        if layout.pointers != 0 {
            let (pointers, lists) = resize_inode::encode(&layout.geometry);
            self.bytes(layout.pointers * BLOCK, pointers);
            for (block, list) in lists {
                self.bytes(block * BLOCK, list);
            }
            let content = Content {
                size: resize_inode::LENGTH,
                blocks: resize_inode::blocks(&layout.geometry),
                i_block: resize_inode::i_block(layout.pointers),
                attributes: &[],
                attribute_block: 0,
            };
            self.inode(&inode_of(inode::RESIZE, 0, self.time), &content);
        }
        let first = layout.journal.runs.first()?.first;
        let blocks: u64 = layout.journal.runs.iter().map(|run| run.count).sum();
        self.bytes(first * BLOCK, journal::superblock(blocks));
        let inode = inode_of(inode::JOURNAL, inode::EXTENTS_FL, self.time);
        let i_block = self.tree(&inode, &layout.journal);
        let content = Content {
            size: blocks * BLOCK,
            blocks: layout.journal.blocks(),
            i_block,
            attributes: &[],
            attribute_block: 0,
        };
        self.inode(&inode, &content);
        Some((i_block, content.size))
    }

    /// Writes the inodes of the tree with their contents.
    pub fn tree_inodes(&mut self, inventory: &Inventory<'a>) {
        for (planned, placement) in inventory.inodes.iter().zip(&self.layout.inodes) {
            let i_block = match &planned.body {
                Body::Inline(i_block, _) => *i_block,
                Body::Bytes(bytes) => {
                    for run in &placement.runs {
                        let from = (run.logical * BLOCK) as usize;
                        let to = ((run.logical + run.count) * BLOCK) as usize;
                        let part = bytes.get(from..to.min(bytes.len())).unwrap_or_default();
                        self.bytes(run.first * BLOCK, part);
                    }
                    self.tree(&planned.inode, placement)
                }
                Body::File(content, _) => {
                    for run in &placement.runs {
                        let piece = Piece::File(content, run.logical * BLOCK, run.count * BLOCK);
                        self.pieces.push((run.first * BLOCK, piece));
                    }
                    self.tree(&planned.inode, placement)
                }
            };
            if let Some(block) = &planned.attributes.block {
                let mut block = block.clone();
                xattr::seal(&mut block, placement.attributes, self.checksum);
                self.bytes(placement.attributes * BLOCK, block);
            }
            let content = Content {
                size: planned.body.size(),
                blocks: placement.blocks(),
                i_block,
                attributes: &planned.attributes.inode,
                attribute_block: placement.attributes,
            };
            self.inode(&planned.inode, &content);
        }
    }

    /// Writes the extent tree of an inode, and returns its root for the inode.
    fn tree(&mut self, inode: &Inode, placement: &Placement) -> [u8; inode::I_BLOCK] {
        let checksum = self.checksum.map(|sum| sum.of_inode(inode.number));
        let (i_block, blocks) = extent_tree::encode(&placement.runs, placement.tree.iter().copied(), checksum);
        for (number, block) in blocks {
            self.bytes(number * BLOCK, block);
        }
        i_block
    }

    fn inode(&mut self, inode: &Inode, content: &Content) {
        self.inodes.insert(inode.number, inode.encode(content, self.checksum));
    }

    /// Writes the inode tables of all groups.
    pub fn inode_tables(&mut self) {
        let geometry = &self.layout.geometry;
        let inodes = std::mem::take(&mut self.inodes);
        let per_group = geometry.inodes_per_group;
        for (group, place) in (0..).zip(&geometry.places) {
            let before = group * per_group;
            // Numbers begin with 1 and have 32 bits.
            let of_group = inodes.range((before + 1) as u32..=(before + per_group) as u32);
            let mut table = Vec::new();
            for (number, inode) in of_group {
                table.resize((u64::from(*number) - 1 - before) as usize * INODE, 0);
                table.extend(inode);
            }
            if table.is_empty() && group > 0 {
                break;
            }
            self.bytes(place.inode_table * BLOCK, table);
        }
    }

    /// Returns the image.
    pub fn finish(mut self) -> Extents {
        self.pieces.sort_unstable_by_key(|(offset, _)| *offset);
        let mut image = Extents::new();
        for (offset, piece) in self.pieces {
            match piece {
                Piece::Bytes(bytes) => image.put_bytes(offset, bytes),
                Piece::File(content, from, len) => image.put(offset, &content.part(from, len)),
            }
        }
        image.set_len(self.layout.geometry.blocks * BLOCK);
        image
    }
}
