//! Planning of an image from a tree: positions first, then the bytes.

use std::collections::BTreeSet;

use extents::{Data, Extents};
use tree::{FileExtent, Image, Kind, NodeId, Tree};

use crate::boot::{self, Boot};
use crate::encode::{self, Endian, Nodes, Place};
use crate::error::Error;
use crate::hierarchy::Hierarchy;
use crate::hybrid;
use crate::names::Rules;
use crate::options::{Options, Platform};
use crate::volume::{self, Descriptor};
use crate::{BLOCK, MAX_DIRECTORIES, MAX_FILE_LEN, MAX_NAME_LEN, MIN_BLOCKS, PRIMARY};

/// Maximum length of a directory in bytes: the last full block below 4 GiB.
const MAX_DIRECTORY_LEN: u64 = 0xffff_f800;

/// Allocator of blocks.
pub(crate) struct Blocks {
    next: u64,
}

impl Blocks {
    /// Allocates blocks for `len` bytes, and returns the first.
    pub(crate) fn take(&mut self, len: u64) -> Result<u32, Error> {
        let first = self.next;
        self.next = first.saturating_add(len.div_ceil(BLOCK));
        let fits = u32::try_from(self.next).is_ok();
        u32::try_from(first).ok().filter(|_| fits).ok_or(self.too_large())
    }

    fn too_large(&self) -> Error {
        Error::LargeImage {
            size: self.next.saturating_mul(BLOCK),
        }
    }

    /// Skips to a multiple of `blocks`.
    pub(crate) fn align(&mut self, blocks: u64) {
        self.next = self.next.checked_next_multiple_of(blocks.max(1)).unwrap_or(u64::MAX);
    }
}

/// Directory hierarchy, and the positions of its parts.
struct Volume<'a> {
    hierarchy: Hierarchy<'a>,
    places: Vec<Place>,
    table_len: u64,
    tables: [u32; 2],
}

impl<'a> Volume<'a> {
    fn new(tree: &'a Tree, rules: Rules) -> Result<Self, Error> {
        let hierarchy = Hierarchy::new(tree, rules);
        let count = hierarchy.directories.len();
        if count > MAX_DIRECTORIES {
            return Err(Error::ManyDirectories { count });
        }
        let places = vec![Place::default(); count];
        let table_len = encode::path_table(&hierarchy, &places, Endian::Little).len() as u64;
        Ok(Volume {
            hierarchy,
            places,
            table_len,
            tables: [0; 2],
        })
    }

    fn take_tables(&mut self, blocks: &mut Blocks) -> Result<(), Error> {
        self.tables = [blocks.take(self.table_len)?, blocks.take(self.table_len)?];
        Ok(())
    }

    fn take_directories(&mut self, nodes: &Nodes<'_>, blocks: &mut Blocks) -> Result<(), Error> {
        for at in self.hierarchy.placement() {
            let encoded = encode::directory(&self.hierarchy, at, &self.places, nodes);
            let len = encoded.records.len() as u64;
            if len > MAX_DIRECTORY_LEN {
                return Err(Error::LargeDirectory {
                    path: self.hierarchy.path(at),
                    len,
                });
            }
            let block = blocks.take(len + encoded.continuation.len() as u64)?;
            if let Some(place) = self.places.get_mut(at) {
                *place = Place { block, len };
            }
        }
        Ok(())
    }

    fn put(&self, nodes: &Nodes<'_>, image: &mut Extents) {
        for (block, endian) in self.tables.into_iter().zip([Endian::Little, Endian::Big]) {
            put(image, block, encode::path_table(&self.hierarchy, &self.places, endian));
        }
        for &at in &self.hierarchy.order {
            let encoded = encode::directory(&self.hierarchy, at, &self.places, nodes);
            let block = self.places.get(at).map_or(0, |place| place.block);
            put(image, block, [encoded.records, encoded.continuation].concat());
        }
    }
}

fn put(image: &mut Extents, block: u32, bytes: Vec<u8>) {
    image.put_bytes(u64::from(block) * BLOCK, bytes);
}

/// Plans the image of a tree, with contents in the order of [`Tree::walk`]. None of them is read,
/// except a boot image with a boot information table ([`crate::BootEntry::info_table`]) or one that
/// a disk starts.
///
/// [`Image::file_extents`] has each file in one extent.
///
/// # Errors
/// Nodes beyond the limits of the format or of Linux, and invalid options.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    volume::check(options)?;
    check(tree)?;
    let mut boots = boot::find(tree, options)?;
    if let Some(hybrid) = &options.hybrid {
        hybrid::check(hybrid, &boots)?;
    }
    let mut nodes = Nodes::new(tree);
    let mut blocks = Blocks {
        next: u64::from(PRIMARY),
    };
    let mut volumes = vec![(volume::Kind::Primary, Volume::new(tree, Rules::Iso)?)];
    if options.joliet {
        volumes.push((volume::Kind::Joliet, Volume::new(tree, Rules::Joliet)?));
    }

    let primary = blocks.take(BLOCK)?;
    let boot_record = if boots.is_empty() {
        None
    } else {
        Some(blocks.take(BLOCK)?)
    };
    let mut descriptors = vec![primary];
    for _ in volumes.iter().skip(1) {
        descriptors.push(blocks.take(BLOCK)?);
    }
    let terminator = blocks.take(BLOCK)?;
    for (_, volume) in &mut volumes {
        volume.take_tables(&mut blocks)?;
    }
    for (_, volume) in &mut volumes {
        volume.take_directories(&nodes, &mut blocks)?;
    }
    let catalog = blocks.take(if boots.is_empty() { 0 } else { BLOCK })?;
    let contents = take_contents(&mut nodes, &mut boots, options, &mut blocks)?;
    if options.hybrid.is_some() {
        blocks.next = blocks.next.saturating_add(hybrid::BACKUP);
        blocks.align(hybrid::ALIGNMENT);
    }
    blocks.next = blocks.next.max(MIN_BLOCKS);
    let end = blocks.take(0)?;

    let mut image = Extents::new();
    for (block, (kind, volume)) in descriptors.into_iter().zip(&volumes) {
        let descriptor = Descriptor {
            kind: *kind,
            options,
            blocks: end,
            table_len: u32::try_from(volume.table_len).map_err(|_| blocks.too_large())?,
            little_table: volume.tables[0],
            big_table: volume.tables[1],
            root: volume.places.first().copied().unwrap_or_default(),
            root_time: tree.node(NodeId::ROOT).meta.mtime,
        };
        put(&mut image, block, descriptor.encode());
    }
    if let Some(block) = boot_record {
        put(&mut image, block, boot::record(catalog));
        put(&mut image, catalog, boot::catalog(&boots));
    }
    put(&mut image, terminator, volume::terminator());
    for (_, volume) in &volumes {
        volume.put(&nodes, &mut image);
    }
    // The identifier covers everything but the contents: names, lengths, times and positions.
    let id = options.hybrid.as_ref().map(|hybrid| match hybrid.id {
        Some(id) => u128::from_le_bytes(id),
        None => digest(&image),
    });
    for (place, content) in contents {
        image.put(u64::from(place.block) * BLOCK, content);
    }
    for (index, boot) in boots.iter().enumerate() {
        if let Some((offset, table)) = boot.info_table(index)? {
            image.put_bytes(u64::from(boot.place.block) * BLOCK + offset, table);
        }
    }
    image.set_len(u64::from(end) * BLOCK);
    if let (Some(hybrid), Some(id)) = (&options.hybrid, id) {
        image = hybrid::put(image, hybrid, &boots, id)?;
    }
    Ok(Image::new(image, None, file_extents(&nodes)))
}

/// Hashes the bytes in memory.
fn digest(image: &Extents) -> u128 {
    hybrid::digest(image.extents().iter().filter_map(|extent| match extent.data() {
        Data::Bytes { buffer, start, len } => buffer.get(*start..start.saturating_add(*len)),
        Data::Slice(_) => None,
    }))
}

/// Allocates blocks for the contents of files and for boot images, each once. In a hybrid image EFI
/// boot images come last, as partitions; a file that one of them contains at a block boundary is
/// not stored again.
fn take_contents<'a>(
    nodes: &mut Nodes<'a>,
    boots: &mut [Boot<'a>],
    options: &Options,
    blocks: &mut Blocks,
) -> Result<Vec<(Place, &'a Extents)>, Error> {
    let mut contents = Vec::new();
    let is_partition = |boot: &Boot<'_>| options.hybrid.is_some() && boot.entry.platform == Platform::Efi;
    let later: BTreeSet<NodeId> = boots
        .iter()
        .filter(|boot| is_partition(boot))
        .filter_map(|boot| boot.node)
        .collect();
    let hosts: Vec<(usize, &Extents)> = boots
        .iter()
        .enumerate()
        .filter(|(_, boot)| is_partition(boot))
        .map(|(index, boot)| (index, boot.content))
        .collect();
    let within = |content: &Extents| {
        hosts.iter().find_map(|(index, host)| {
            let offset = host.find(content)?;
            (offset % BLOCK == 0).then_some((*index, offset / BLOCK))
        })
    };
    let mut shared = Vec::new();
    let mut take = |content: &'a Extents, blocks: &mut Blocks| {
        let place = Place {
            block: blocks.take(content.len())?,
            len: content.len(),
        };
        contents.push((place, content));
        Ok(place)
    };
    for boot in boots
        .iter_mut()
        .filter(|boot| boot.node.is_none() && !is_partition(boot))
    {
        boot.place = take(boot.content, blocks)?;
    }
    for named in nodes.tree.walk() {
        let Kind::File(content) = &named.node.kind else {
            continue;
        };
        let Some(place) = nodes.contents.get_mut(named.id.index()) else {
            continue;
        };
        if content.is_empty() || place.block != 0 || later.contains(&named.id) {
            continue;
        }
        match within(content) {
            Some((host, block)) => shared.push((named.id, host, block, content.len())),
            None => *place = take(content, blocks)?,
        }
    }
    for boot in boots.iter_mut() {
        let known = boot.node.and_then(|id| nodes.contents.get_mut(id.index()));
        match known {
            Some(place) if place.block != 0 => boot.place = *place,
            known if is_partition(boot) => {
                blocks.align(hybrid::ALIGNMENT);
                boot.place = take(boot.content, blocks)?;
                if let Some(place) = known {
                    *place = boot.place;
                }
            }
            _ => {}
        }
    }
    for (id, host, block, len) in shared {
        let first = boots.get(host).map_or(0, |boot| u64::from(boot.place.block));
        let block = u32::try_from(first + block).map_err(|_| blocks.too_large())?;
        if let Some(place) = nodes.contents.get_mut(id.index()) {
            *place = Place { block, len };
        }
    }
    Ok(contents)
}

/// Lists the positions of all files.
fn file_extents(nodes: &Nodes<'_>) -> Vec<(NodeId, FileExtent)> {
    let mut seen = BTreeSet::new();
    let mut extents = Vec::new();
    for named in nodes.tree.walk() {
        let place = nodes.contents.get(named.id.index()).copied().unwrap_or_default();
        if place.len > 0 && seen.insert(named.id) {
            let extent = FileExtent {
                logical: 0,
                physical: u64::from(place.block) * BLOCK,
                len: place.len,
            };
            extents.push((named.id, extent));
        }
    }
    extents
}

/// Refuses names and lengths beyond the limits.
fn check(tree: &Tree) -> Result<(), Error> {
    for named in tree.walk() {
        let len = named.path.rsplit(|&byte| byte == b'/').next().map_or(0, <[u8]>::len);
        if len > MAX_NAME_LEN {
            return Err(Error::LongName { path: named.path, len });
        }
        match &named.node.kind {
            Kind::File(content) if content.len() > MAX_FILE_LEN => {
                return Err(Error::LargeFile {
                    len: content.len(),
                    path: named.path,
                });
            }
            _ => {}
        }
    }
    Ok(())
}
