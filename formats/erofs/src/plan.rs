//! From a tree to a filesystem.

use extents::Extents;
use tree::{Kind, Tree};

use crate::bytes::align;
use crate::contents::{self, File, PIECE, Stored, is_inline};
use crate::directory::{self, Name};
use crate::inode::{self, Inode, Layout};
use crate::inventory::{Inventory, Item};
use crate::placement::{Placement, SLOT};
use crate::superblock::Superblock;
use crate::xattr::{self, Shared};
use crate::{BLOCK, Error, MOST_BLOCKS, Options, identity, index};

/// A filesystem.
#[derive(Clone, Debug)]
pub struct Image {
    extents: Extents,
    inodes: u64,
    uuid: u128,
}

impl Image {
    /// The bytes of the filesystem: whole blocks.
    pub fn extents(&self) -> &Extents {
        &self.extents
    }

    /// The bytes of the filesystem, without the rest.
    pub fn into_extents(self) -> Extents {
        self.extents
    }

    /// How many inodes it has.
    pub fn inodes(&self) -> u64 {
        self.inodes
    }

    /// What the volume is known by, its text form read as one number.
    pub fn uuid(&self) -> u128 {
        self.uuid
    }
}

/// Makes a filesystem of a tree. With a compressor the contents are compressed now, into a file in
/// [`Options::folder`] that lives as long as the image; without one they are not even read.
///
/// # Errors
/// What EROFS cannot hold, by path; a label that there cannot be; whatever reading contents or
/// writing the compressed blocks fails with.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    options.check()?;
    let inventory = Inventory::collect(tree)?;
    let shared = Shared::find(inventory.items.iter().map(|item| &item.node.meta));
    let heads = (0..).zip(&inventory.items);
    let heads: Vec<Head> = heads
        .map(|(number, item)| Head::new(number, item, &inventory, &shared, options))
        .collect::<Result<_, _>>()?;

    let files: Vec<File<'_>> = inventory
        .items
        .iter()
        .zip(&heads)
        .filter_map(|(item, head)| match &item.node.kind {
            Kind::File(content) => Some(File {
                path: &item.path,
                content,
                head: head.len(),
            }),
            _ => None,
        })
        .collect();
    let contents = contents::store(&files, options)?;
    let bodies = Bodies::new(&inventory, &heads, contents.stored);

    let mut placement = Placement::new();
    let lens = heads.iter().zip(&bodies.all);
    let places: Vec<u64> = lens.map(|(head, body)| placement.place(body.end(head))).collect();
    let areas = Areas::new(&placement, shared.bytes().len(), bodies.blocks, contents.blocks.len())?;

    let mut assembly = Assembly {
        inventory: &inventory,
        heads: &heads,
        bodies: &bodies,
        places: &places,
        areas: &areas,
        options,
        image: Extents::zeros(BLOCK),
        pending: Vec::new(),
        folders: Extents::new(),
    };
    assembly.write();
    let Assembly { mut image, folders, .. } = assembly;
    image.set_len(areas.shared * BLOCK);
    image.push_bytes(shared.bytes());
    image.align_to(BLOCK);
    image.push(&folders);
    image.set_len(areas.contents * BLOCK);
    image.push(&contents.blocks);
    image.set_len(u64::from(areas.end) * BLOCK);

    let uuid = options.uuid.unwrap_or_else(|| identity::uuid(tree, options));
    let has = |is: fn(&Body) -> bool| bodies.all.iter().any(is);
    let superblock = Superblock {
        // The root is the first that is placed.
        root_nid: (places.first().copied().unwrap_or_default() / SLOT) as u16,
        inos: inventory.items.len() as u64,
        build_time: options.time,
        blocks: areas.end,
        xattr_blkaddr: if shared.bytes().is_empty() {
            0
        } else {
            areas.shared as u32
        },
        uuid,
        label: &options.label,
        chunks: has(|body| matches!(body, Body::File(Stored::Chunks { .. }))),
        compressed: has(|body| matches!(body, Body::File(Stored::Pieces { .. })))
            .then_some((options.compressor, (PIECE / BLOCK) as u16)),
    };
    image.put_bytes(0, superblock.encode());
    Ok(Image {
        extents: image,
        inodes: superblock.inos,
        uuid,
    })
}

/// An inode with its attributes, before it is known where things are.
struct Head {
    size: u64,
    extended: bool,
    xattrs: Vec<u8>,
}

impl Head {
    fn new(
        number: usize,
        item: &Item<'_>,
        inventory: &Inventory<'_>,
        shared: &Shared<'_>,
        options: &Options,
    ) -> Result<Self, Error> {
        let size = match &item.node.kind {
            Kind::Directory(_) => directory::len(inventory.names(number).iter().map(|(name, _)| *name)),
            Kind::File(content) => content.len(),
            Kind::Symlink(target) => target.len() as u64,
            _ => 0,
        };
        Ok(Head {
            size,
            extended: inode::is_extended(size, item.nlink, &item.node.meta, options.time),
            xattrs: shared.encode(&item.path, &item.node.meta)?,
        })
    }

    fn len(&self) -> u64 {
        (inode::len(self.extended) + self.xattrs.len()) as u64
    }
}

/// What belongs to an inode.
enum Body {
    Nothing,
    /// Entries or a target: in blocks that count from the start of the folders, or behind the inode.
    Bytes {
        start: u64,
        inline: bool,
    },
    File(Stored),
}

impl Body {
    /// Where what stands behind the inode ends, in bytes from the start of the inode.
    fn end(&self, head: &Head) -> u64 {
        let start = head.len();
        match self {
            Body::Bytes { inline: true, .. } | Body::File(Stored::Flat { inline: true, .. }) => {
                start + head.size % BLOCK
            }
            Body::Nothing | Body::Bytes { .. } | Body::File(Stored::Flat { .. }) => start,
            Body::File(Stored::Chunks { starts, .. }) => start + starts.len() as u64 * CHUNK as u64,
            Body::File(Stored::Pieces { .. }) => start.next_multiple_of(index::ALIGN) + index::len(head.size),
        }
    }
}

/// The length of the number of a chunk's block in bytes; attributes end at a multiple of it.
const CHUNK: usize = 4;
/// The number of the block of a chunk of zeros (`EROFS_NULL_ADDR`).
const NO_BLOCK: u32 = u32::MAX;

struct Bodies {
    all: Vec<Body>,
    /// How many blocks the folders have.
    blocks: u64,
}

impl Bodies {
    fn new(inventory: &Inventory<'_>, heads: &[Head], stored: Vec<Stored>) -> Self {
        let mut stored = stored.into_iter();
        let mut blocks = 0;
        let all = inventory
            .items
            .iter()
            .zip(heads)
            .map(|(item, head)| match &item.node.kind {
                Kind::File(_) => stored.next().map_or(Body::Nothing, Body::File),
                Kind::Directory(_) | Kind::Symlink(_) => {
                    let (start, inline) = (blocks, is_inline(head.len(), head.size));
                    blocks += if inline {
                        head.size / BLOCK
                    } else {
                        head.size.div_ceil(BLOCK)
                    };
                    Body::Bytes { start, inline }
                }
                _ => Body::Nothing,
            });
        Bodies {
            all: all.collect(),
            blocks,
        }
    }
}

/// Where the parts of a filesystem begin, in blocks.
struct Areas {
    shared: u64,
    folders: u64,
    contents: u64,
    end: u32,
}

impl Areas {
    fn new(inodes: &Placement, shared_len: usize, folders: u64, contents_len: u64) -> Result<Self, Error> {
        let shared = inodes.end();
        let folders_start = shared + (shared_len as u64).div_ceil(BLOCK);
        let contents = folders_start + folders;
        let mut blocks = contents + contents_len.div_ceil(BLOCK);
        if blocks == shared && inodes.is_full() {
            // fsck.erofs 1.5 reads what would be the head of attributes behind an inode without any.
            blocks += 1;
        }
        if blocks > MOST_BLOCKS {
            return Err(Error::TooLarge { blocks });
        }
        Ok(Areas {
            shared,
            folders: folders_start,
            contents,
            end: blocks as u32,
        })
    }

    // Areas::new() saw that all blocks have 32 bits.

    fn folder(&self, start: u64) -> u32 {
        (self.folders + start) as u32
    }

    fn content(&self, start: u64) -> u32 {
        (self.contents + start) as u32
    }
}

/// Inodes and what stands behind them, put together.
struct Assembly<'p, 'a> {
    inventory: &'p Inventory<'a>,
    heads: &'p [Head],
    bodies: &'p Bodies,
    places: &'p [u64],
    areas: &'p Areas,
    options: &'p Options,
    image: Extents,
    /// Bytes behind the end of `image`.
    pending: Vec<u8>,
    folders: Extents,
}

/// Zeros between inodes up to this length are written with them, in bytes.
const SHORT_GAP: u64 = 256;

impl Assembly<'_, '_> {
    fn write(&mut self) {
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

    /// Puts the blocks of a folder or a target where they belong, and returns the tail.
    fn put_bytes_of(&mut self, number: usize) -> Vec<u8> {
        let Some((item, Body::Bytes { inline, .. })) =
            self.inventory.items.get(number).zip(self.bodies.all.get(number))
        else {
            return Vec::new();
        };
        let mut bytes = match &item.node.kind {
            Kind::Directory(_) => self.folder(number),
            Kind::Symlink(target) => target.clone(),
            _ => Vec::new(),
        };
        let len = bytes.len() as u64;
        let whole = if *inline { len - len % BLOCK } else { len };
        let tail = bytes.split_off(whole as usize);
        self.folders.push_bytes(bytes);
        self.folders.align_to(BLOCK);
        tail
    }

    fn folder(&self, number: usize) -> Vec<u8> {
        let names = self.inventory.names(number);
        let names = names.into_iter().map(|(name, number)| Name {
            name,
            nid: self.places.get(number).copied().unwrap_or_default() / SLOT,
            kind: self
                .inventory
                .items
                .get(number)
                .map_or(0, |item| inode::kind(&item.node.kind).1),
        });
        directory::encode(&names.collect::<Vec<_>>())
    }

    /// Puts an inode, its attributes and what stands behind them.
    fn put_inode(&mut self, number: usize, tail: &[u8]) {
        let Some((((item, head), body), place)) = self
            .inventory
            .items
            .get(number)
            .zip(self.heads.get(number))
            .zip(self.bodies.all.get(number))
            .zip(self.places.get(number))
        else {
            return;
        };
        let (layout, union) = self.layout(item, body);
        let meta = &item.node.meta;
        let inode = Inode {
            layout,
            xattr_icount: xattr::count(head.xattrs.len()),
            mode: inode::kind(&item.node.kind).0 | (meta.mode & 0o7777) as u16,
            nlink: item.nlink,
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
        if let (Kind::File(content), Body::File(Stored::Flat { inline: true, .. })) = (&item.node.kind, body) {
            self.flush();
            let tail = head.size % BLOCK;
            self.image.push(&content.part(head.size - tail, tail));
        }
    }

    /// How the content is laid out, and the field that says where it begins.
    fn layout(&self, item: &Item<'_>, body: &Body) -> (Layout, u32) {
        let flat = |inline: bool| if inline { Layout::Inline } else { Layout::Plain };
        match (body, &item.node.kind) {
            (Body::Bytes { start, inline }, _) => (flat(*inline), self.areas.folder(*start)),
            (Body::File(Stored::Flat { start, inline }), _) => (flat(*inline), self.areas.content(*start)),
            // No more blocks than the filesystem has.
            (Body::File(Stored::Pieces { blocks, .. }), _) => (Layout::Compressed, *blocks as u32),
            (Body::File(Stored::Chunks { doublings, .. }), _) => (Layout::Chunks, u32::from(*doublings)),
            (Body::Nothing, Kind::CharDevice(device) | Kind::BlockDevice(device)) => (Layout::Plain, device.packed()),
            (Body::Nothing, _) => (Layout::Plain, 0),
        }
    }

    /// Puts bytes behind what is there.
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
