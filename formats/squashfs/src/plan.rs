//! From a tree to a filesystem.

use extents::Extents;
use tree::{Kind, Node, NodeId, Tree};

use crate::data::{self, Data, File, Fragment, Stored};
use crate::directory::{self, Listing, Name};
use crate::id_table::Ids;
use crate::inode::{self, Content, Inode, kind};
use crate::metadata::{self, Metadata, Place};
use crate::options::seconds;
use crate::superblock::{self, Superblock, flags};
use crate::table::table;
use crate::xattr::{self, Xattrs};
use crate::{Error, Options, PADDING};

/// A filesystem.
#[derive(Clone, Debug)]
pub struct Image {
    extents: Extents,
    used: u64,
    inodes: u32,
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

    /// The length in bytes without the zeros at the end (`bytes_used`).
    pub fn used(&self) -> u64 {
        self.used
    }

    /// How many inodes it has.
    pub fn inodes(&self) -> u32 {
        self.inodes
    }
}

/// Makes a filesystem of a tree. The contents are compressed now, into a file in
/// [`Options::folder`] that lives as long as the image.
///
/// # Errors
/// What squashfs cannot hold, by path; options that do not exist; whatever reading contents or
/// writing the compressed blocks fails with.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    options.check()?;
    let found = Found::collect(tree)?;
    let encoder = || options.compressor.encoder(options.block_size);

    let mut image = Extents::zeros(superblock::LEN);
    let mut flags = flags::DUPLICATES | flags::EXPORTABLE | flags::ALWAYS_FRAGMENTS;
    if let Some(bytes) = options.compressor.options() {
        let mut block = Vec::new();
        metadata::push_block(&mut block, &bytes, None);
        image.push_bytes(block);
        flags |= flags::COMPRESSOR_OPTIONS;
    }
    let data = data::store(&found.files, options, image.len())?;
    image.push(&data.blocks);
    let nodes = Nodes::write(tree, options, &found, &data)?;

    // Linux finds the end of each table at the start of the next, so none can be moved.
    let inode_table_start = image.len();
    image.push_bytes(nodes.inodes.finish()?.0);
    let directory_table_start = image.len();
    image.push_bytes(nodes.folders.finish()?.0);
    let fragments = table(data.fragments.iter().map(Fragment::encode), encoder(), image.len())?;
    image.push_bytes(fragments.bytes);
    let references = nodes.places.iter().map(|place| place.reference().to_le_bytes());
    let export = table(references, encoder(), image.len())?;
    image.push_bytes(export.bytes);
    let ids = table(nodes.ids.entries(), encoder(), image.len())?;
    image.push_bytes(ids.bytes);
    let xattr_id_table_start = if nodes.xattrs.is_empty() {
        flags |= flags::NO_XATTRS;
        superblock::NO_TABLE
    } else {
        let (bytes, start) = nodes.xattrs.finish(encoder(), image.len())?;
        image.push_bytes(bytes);
        start
    };
    if data.fragments.is_empty() {
        flags |= flags::NO_FRAGMENTS;
    }

    let used = image.len();
    let superblock = Superblock {
        inodes: nodes.places.len() as u32,
        mkfs_time: seconds(options.time),
        block_size: options.block_size,
        fragments: data.fragments.len() as u32,
        compression: options.compressor.id(),
        flags,
        no_ids: nodes.ids.count(),
        root_inode: nodes.places.last().copied().unwrap_or_default().reference(),
        bytes_used: used,
        id_table_start: ids.list,
        xattr_id_table_start,
        inode_table_start,
        directory_table_start,
        fragment_table_start: fragments.list,
        lookup_table_start: export.list,
    };
    let inodes = superblock.inodes;
    image.put_bytes(0, superblock.encode());
    image.align_to(PADDING);
    Ok(Image {
        extents: image,
        used,
        inodes,
    })
}

/// What is in a tree, found out and checked before anything is written.
struct Found<'a> {
    /// A folder before what is in it.
    folders: Vec<(NodeId, Vec<u8>)>,
    files: Vec<File<'a>>,
    /// By node: the number of its file.
    file_of: Vec<u32>,
    /// By node: how many names it has.
    names: Vec<u32>,
    ids: Ids,
}

fn slot<T: Copy + Default>(table: &[T], id: NodeId) -> T {
    table.get(id.index()).copied().unwrap_or_default()
}

fn set<T>(table: &mut [T], id: NodeId, value: T) {
    if let Some(slot) = table.get_mut(id.index()) {
        *slot = value;
    }
}

impl<'a> Found<'a> {
    fn collect(tree: &'a Tree) -> Result<Self, Error> {
        let mut found = Found {
            folders: Vec::new(),
            files: Vec::new(),
            file_of: vec![0; tree.capacity()],
            names: vec![0; tree.capacity()],
            ids: Ids::default(),
        };
        for item in tree.walk() {
            let names = slot(&found.names, item.id);
            set(&mut found.names, item.id, names.saturating_add(1));
            if names > 0 {
                continue;
            }
            let meta = &item.node.meta;
            if found.ids.index(meta.uid).is_none() || found.ids.index(meta.gid).is_none() {
                return Err(Error::Ids {
                    path: item.path,
                    uid: meta.uid,
                    gid: meta.gid,
                });
            }
            xattr::check(&item.path, meta)?;
            match &item.node.kind {
                Kind::Directory(_) => found.folders.push((item.id, item.path)),
                Kind::File(content) => {
                    set(&mut found.file_of, item.id, found.files.len() as u32);
                    found.files.push(File {
                        path: item.path,
                        content,
                    });
                }
                Kind::CharDevice(device) | Kind::BlockDevice(device) => {
                    if device.major > 0xfff || device.minor > 0xf_ffff {
                        return Err(Error::Device {
                            path: item.path,
                            major: device.major,
                            minor: device.minor,
                        });
                    }
                }
                Kind::Symlink(_) | Kind::Fifo | Kind::Socket => {}
            }
        }
        Ok(found)
    }
}

/// The tables of inodes and names.
///
/// All inodes of a folder stand together, in the order of the names, so that few headers are
/// needed in the listing of the folder. It follows that a folder's own inode stands with those of
/// its neighbours: behind everything below it, and that of the root is the last.
struct Nodes<'a> {
    inodes: Metadata,
    folders: Metadata,
    xattrs: Xattrs<'a>,
    ids: Ids,
    /// By the number of an inode, less one.
    places: Vec<Place>,
}

impl<'a> Nodes<'a> {
    fn write(tree: &'a Tree, options: &Options, found: &Found<'a>, data: &Data) -> Result<Self, Error> {
        let encoder = || options.compressor.encoder(options.block_size);
        let numbers = numbers(tree, &found.folders);
        let mut nodes = Nodes {
            inodes: Metadata::new(encoder()),
            folders: Metadata::new(encoder()),
            xattrs: Xattrs::new(encoder()),
            ids: found.ids.clone(),
            places: Vec::with_capacity(found.folders.len() + found.files.len()),
        };
        let mut listings: Vec<Option<Listing>> = vec![None; tree.capacity()];
        let mut writer = Writer {
            tree,
            nodes: &mut nodes,
            options,
            found,
            data,
            numbers: &numbers,
        };
        for (folder, path) in found.folders.iter().rev() {
            let Kind::Directory(entries) = &tree.node(*folder).kind else {
                continue;
            };
            let parent = slot(&numbers, *folder);
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
            let listing = directory::push(&mut writer.nodes.folders, path, names)?;
            set(&mut listings, *folder, Some(listing));
        }
        let listing = listings.get_mut(NodeId::ROOT.index()).and_then(Option::take);
        // The root has no parent: Linux's own tools put the first number that is not used.
        let above = slot(&numbers, NodeId::ROOT).saturating_add(1);
        writer.inode(tree.node(NodeId::ROOT), NodeId::ROOT, listing.as_ref(), above)?;
        Ok(nodes)
    }
}

/// The number of each inode, from 1, in the order in which they are written.
fn numbers(tree: &Tree, folders: &[(NodeId, Vec<u8>)]) -> Vec<u32> {
    let mut numbers = vec![0u32; tree.capacity()];
    let mut next = 1;
    let mut give = |id| {
        if slot(&numbers, id) == 0 {
            set(&mut numbers, id, next);
            next = next.saturating_add(1);
        }
    };
    for (folder, _) in folders.iter().rev() {
        if let Kind::Directory(entries) = &tree.node(*folder).kind {
            entries.values().for_each(|entry| give(entry.node));
        }
    }
    give(NodeId::ROOT);
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
    found: &'w Found<'a>,
    data: &'w Data,
    numbers: &'w [u32],
}

impl<'a> Writer<'_, 'a> {
    /// Writes an inode, unless one of its names was met before.
    fn inode(&mut self, node: &'a Node, id: NodeId, listing: Option<&Listing>, parent: u32) -> Result<(), Error> {
        let number = slot(self.numbers, id);
        if number as usize <= self.nodes.places.len() {
            return Ok(());
        }
        let missing = Listing::default();
        let nothing = Stored::default();
        let mut nlink = slot(&self.found.names, id);
        let content = match &node.kind {
            Kind::Directory(entries) => {
                let folders = entries
                    .values()
                    .filter(|entry| self.tree.node(entry.node).kind.is_directory());
                nlink = u32::try_from(folders.count()).unwrap_or(u32::MAX).saturating_add(2);
                Content::Directory {
                    listing: listing.unwrap_or(&missing),
                    parent,
                }
            }
            Kind::File(_) => Content::File {
                stored: self
                    .data
                    .stored
                    .get(slot(&self.found.file_of, id) as usize)
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
            // Both are in the table since the tree was looked through.
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
