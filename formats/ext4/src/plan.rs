//! From a tree to a filesystem.

use std::collections::BTreeMap;
use std::sync::Arc;

use extents::Extents;
use tree::{Time, Tree};

use crate::allocator::Run;
use crate::checksum::Checksum;
use crate::group::Usage;
use crate::inode::{self, Content, INODE, Inode};
use crate::inventory::{Body, Hashing, Inventory};
use crate::layout::{Layout, Placed};
use crate::superblock::{self, Superblock};
use crate::{BLOCK, Error, Options, SECTOR, extent_tree, identity, inventory, journal, layout, resize_inode, xattr};

/// A filesystem.
#[derive(Clone, Debug)]
pub struct Image {
    extents: Extents,
    uuid: u128,
    /// The inode of each file by path.
    files: BTreeMap<Vec<u8>, u32>,
    /// By inode: the runs, and the length in bytes.
    places: BTreeMap<u32, (Vec<Run>, u64)>,
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

    /// The identifier of the volume.
    pub fn uuid(&self) -> u128 {
        self.uuid
    }

    /// Where a file stands that is in one piece: its first sector, counted from the start of the
    /// filesystem, and its length in bytes. Nothing for an empty file and one with holes.
    pub fn extent_of(&self, path: &[u8]) -> Option<(u64, u64)> {
        let (runs, len) = self.place(path)?;
        let first = runs.first()?;
        let mut next = *first;
        next.count = 0;
        for run in runs {
            if (run.logical, run.first) != (next.logical + next.count, next.first + next.count) || first.logical != 0 {
                return None;
            }
            next = *run;
        }
        (next.logical + next.count == len.div_ceil(BLOCK)).then_some((first.first * (BLOCK / SECTOR), *len))
    }

    /// Which blocks a file has, in order; what is missing between them is zeros. A piece has at
    /// most 32,768 blocks.
    pub fn runs_of(&self, path: &[u8]) -> Option<&[Run]> {
        self.place(path).map(|(runs, _)| runs.as_slice())
    }

    fn place(&self, path: &[u8]) -> Option<&(Vec<Run>, u64)> {
        self.places.get(self.files.get(path)?)
    }
}

/// Plans a filesystem with the nodes of a tree.
///
/// # Errors
/// What ext4 cannot hold, by path, and sizes that do not go together.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    check_label(&options.label)?;
    let uuid = options.uuid.unwrap_or_else(|| identity::uuid(tree, options));
    let hashing = Hashing {
        checksum: (!options.boot).then(|| Checksum::of_filesystem(uuid)),
        seed: identity::hash_seed(uuid),
    };
    let inventory = inventory::take(tree, options, hashing)?;
    let layout = layout::choose(&inventory, options)?;
    let mut writer = Writer {
        checksum: hashing.checksum,
        time: options.time,
        layout: &layout,
        pieces: Vec::new(),
        inodes: BTreeMap::new(),
    };
    let journal = writer.special();
    writer.items(&inventory);
    writer.inode_tables();

    let folders: Vec<u32> = inventory
        .items
        .iter()
        .filter(|item| item.inode.mode & inode::S_IFMT == inode::S_IFDIR)
        .map(|item| item.inode.number)
        .collect();
    let usage = Usage {
        geometry: &layout.geometry,
        end: layout.end,
        last_inode: inventory.last_inode.into(),
        folders: &folders,
        checksum: hashing.checksum,
    };
    let groups = usage.encode();
    let superblock = Superblock {
        geometry: &layout.geometry,
        label: &options.label,
        uuid,
        hash_seed: hashing.seed,
        time: options.time,
        free_blocks: groups.free_blocks,
        free_inodes: groups.free_inodes,
        journal,
        modern: !options.boot,
    };
    let descriptors: Arc<[u8]> = groups.descriptors.into();
    writer.bytes(superblock::OFFSET, superblock.encode(0));
    writer.bytes(BLOCK, descriptors.clone());
    for group in layout.geometry.backups() {
        let start = layout.geometry.copies(group).start * BLOCK;
        writer.bytes(start, superblock.encode(group));
        writer.bytes(start + BLOCK, descriptors.clone());
    }
    for (block, bitmap) in groups.bitmaps {
        writer.bytes(block * BLOCK, bitmap);
    }
    let extents = writer.finish();
    let places = inventory
        .items
        .iter()
        .zip(layout.items)
        .filter_map(|(item, placed)| match &item.body {
            Body::File(content, _) => Some((item.inode.number, (placed.runs, content.len()))),
            _ => None,
        })
        .collect();
    Ok(Image {
        extents,
        uuid,
        files: inventory.files,
        places,
    })
}

fn check_label(label: &str) -> Result<(), Error> {
    let wrong = |what| {
        Err(Error::Label {
            label: label.to_owned(),
            what,
        })
    };
    if label.len() > 16 {
        return wrong("it has more than 16 bytes");
    }
    if label.contains('\0') {
        return wrong("it has a zero byte");
    }
    Ok(())
}

/// What stands at a place.
enum Piece<'a> {
    Bytes(Arc<[u8]>),
    /// So many bytes of a file from an offset on.
    File(&'a Extents, u64, u64),
}

struct Writer<'a> {
    checksum: Option<Checksum>,
    time: Time,
    layout: &'a Layout,
    /// By offset in bytes, in any order.
    pieces: Vec<(u64, Piece<'a>)>,
    /// By number.
    inodes: BTreeMap<u32, [u8; INODE]>,
}

impl<'a> Writer<'a> {
    fn bytes(&mut self, offset: u64, bytes: impl Into<Arc<[u8]>>) {
        self.pieces.push((offset, Piece::Bytes(bytes.into())));
    }

    /// The inodes that are no files: that which keeps room for descriptors, and the journal's,
    /// whose `i_block` and length are returned.
    fn special(&mut self) -> Option<([u8; inode::I_BLOCK], u64)> {
        let layout = self.layout;
        let head = |number, flags, time| Inode {
            number,
            mode: inode::S_IFREG | 0o600,
            uid: 0,
            gid: 0,
            time,
            links: 1,
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
            self.inode(&head(inode::RESIZE, 0, self.time), &content);
        }
        let first = layout.journal.runs.first()?.first;
        let blocks: u64 = layout.journal.runs.iter().map(|run| run.count).sum();
        self.bytes(first * BLOCK, journal::superblock(blocks));
        let head = head(inode::JOURNAL, inode::EXTENTS_FL, self.time);
        let i_block = self.tree(&head, &layout.journal);
        let content = Content {
            size: blocks * BLOCK,
            blocks: layout.journal.blocks(),
            i_block,
            attributes: &[],
            attribute_block: 0,
        };
        self.inode(&head, &content);
        Some((i_block, content.size))
    }

    /// The files, folders and all else that the tree has.
    fn items(&mut self, inventory: &Inventory<'a>) {
        for (item, placed) in inventory.items.iter().zip(&self.layout.items) {
            let i_block = match &item.body {
                Body::Inline(i_block, _) => *i_block,
                Body::Bytes(bytes) => {
                    for run in &placed.runs {
                        let from = (run.logical * BLOCK) as usize;
                        let to = ((run.logical + run.count) * BLOCK) as usize;
                        let part = bytes.get(from..to.min(bytes.len())).unwrap_or_default();
                        self.bytes(run.first * BLOCK, part);
                    }
                    self.tree(&item.inode, placed)
                }
                Body::File(content, _) => {
                    for run in &placed.runs {
                        let piece = Piece::File(content, run.logical * BLOCK, run.count * BLOCK);
                        self.pieces.push((run.first * BLOCK, piece));
                    }
                    self.tree(&item.inode, placed)
                }
            };
            if let Some(block) = &item.attributes.block {
                let mut block = block.clone();
                xattr::seal(&mut block, placed.attributes, self.checksum);
                self.bytes(placed.attributes * BLOCK, block);
            }
            let content = Content {
                size: item.body.size(),
                blocks: placed.blocks(),
                i_block,
                attributes: &item.attributes.inode,
                attribute_block: placed.attributes,
            };
            self.inode(&item.inode, &content);
        }
    }

    /// The extent tree of an inode: its blocks, and what stands in the inode.
    fn tree(&mut self, inode: &Inode, placed: &Placed) -> [u8; inode::I_BLOCK] {
        let checksum = self.checksum.map(|sum| sum.of_inode(inode.number));
        let (i_block, blocks) = extent_tree::encode(&placed.runs, placed.tree.iter().copied(), checksum);
        for (number, block) in blocks {
            self.bytes(number * BLOCK, block);
        }
        i_block
    }

    fn inode(&mut self, inode: &Inode, content: &Content) {
        self.inodes.insert(inode.number, inode.encode(content, self.checksum));
    }

    fn inode_tables(&mut self) {
        let geometry = &self.layout.geometry;
        let inodes = std::mem::take(&mut self.inodes);
        let per_group = geometry.inodes_per_group;
        for (group, place) in (0..).zip(&geometry.places) {
            let before = group * per_group;
            // Numbers begin with 1, and fit into 32 bits as all inodes do.
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

    fn finish(mut self) -> Extents {
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
