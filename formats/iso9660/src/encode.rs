//! Encoding of directories and path tables.
//!
//! No length depends on positions, so a directory is encoded twice: before the positions are known,
//! for its length, and with all positions.

use tree::{Kind, Meta, NodeId, Time, Tree};

use crate::hierarchy::{Hierarchy, Record, Target};
use crate::names::Rules;
use crate::number::{both16, both32, short_time};
use crate::susp::{self, Continuation};
use crate::{BLOCK, SECTION};

/// Flag of the record of a directory (ECMA-119 9.1.6).
const DIRECTORY: u8 = 2;
/// Flag of the record of a file that continues in the next record (ECMA-119 9.1.6).
const MULTI_EXTENT: u8 = 0x80;
/// Maximum length of a record in bytes: its length has 8 bits and is even.
const MAX_RECORD_LEN: usize = 254;
/// Length of a record before the name, in bytes (ECMA-119 9.1).
const RECORD: usize = 33;

/// Position of a content or directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// First block.
    pub block: u32,
    /// Length in bytes.
    pub len: u64,
}

/// Properties of nodes that depend on the rest of the tree, by their index.
pub(crate) struct Nodes<'a> {
    /// Tree of the nodes.
    pub tree: &'a Tree,
    /// Serial numbers, which all names of a node share.
    serials: Vec<u32>,
    /// Link counts; a directory is also counted by itself and by its subdirectories.
    links: Vec<u32>,
    /// Positions of contents.
    pub contents: Vec<Place>,
}

impl<'a> Nodes<'a> {
    /// Numbers the nodes in the order of [`Tree::walk`], which is independent of node identifiers.
    pub(crate) fn new(tree: &'a Tree) -> Self {
        let mut serials = vec![0; tree.capacity()];
        let mut links = vec![0; tree.capacity()];
        let mut next = 1u32;
        for named in tree.walk() {
            if let Some(links) = links.get_mut(named.id.index()) {
                *links = match &named.node.kind {
                    Kind::Directory(entries) => {
                        let directories = entries
                            .values()
                            .filter(|entry| tree.node(entry.node).kind.is_directory());
                        2u32.saturating_add(directories.count() as u32)
                    }
                    _ => named.node.nlink(),
                };
            }
            if let Some(serial) = serials.get_mut(named.id.index()).filter(|serial| **serial == 0) {
                *serial = next;
                next = next.saturating_add(1);
            }
        }
        Nodes {
            tree,
            serials,
            links,
            contents: vec![Place::default(); tree.capacity()],
        }
    }

    /// Encodes PX and TF of a node, or of the directory of relocated directories.
    fn attributes(&self, node: Option<NodeId>) -> Vec<Vec<u8>> {
        let Some(id) = node else {
            let meta = Meta::new(0o755, self.time(None));
            return vec![susp::px(0o04_0755, 2, &meta, 0), susp::tf(meta.mtime)];
        };
        let node = self.tree.node(id);
        let links = self.links.get(id.index()).copied().unwrap_or(1);
        let serial = self.serials.get(id.index()).copied().unwrap_or(0);
        let mode = susp::mode(&node.kind, &node.meta);
        vec![susp::px(mode, links, &node.meta, serial), susp::tf(node.meta.mtime)]
    }

    fn time(&self, node: Option<NodeId>) -> Time {
        self.tree.node(node.unwrap_or(NodeId::ROOT)).meta.mtime
    }
}

/// Encoded directory.
pub(crate) struct Encoded {
    /// Records, padded to blocks.
    pub records: Vec<u8>,
    /// Continuation area after the records, padded to blocks.
    pub continuation: Vec<u8>,
}

/// Encodes the record of the root in a volume descriptor, which has no system use field.
pub(crate) fn root_record(place: Place, time: Time) -> Vec<u8> {
    record(place.block, place.len as u32, time, DIRECTORY, &[0], &[])
}

/// Encodes a directory, with the positions of all directories; their lengths are those of the records.
pub(crate) fn directory(hierarchy: &Hierarchy<'_>, at: usize, places: &[Place], nodes: &Nodes<'_>) -> Encoded {
    let place = |at: usize| places.get(at).copied().unwrap_or_default();
    let mut records = Vec::new();
    let here = place(at);
    let blocks = (here.len / BLOCK) as u32;
    let mut continuation = Continuation::new(here.block.saturating_add(blocks));
    let Some(directory) = hierarchy.directories.get(at) else {
        return Encoded {
            records,
            continuation: Vec::new(),
        };
    };
    let rock_ridge = hierarchy.rules == Rules::Iso;

    let mut own = Vec::new();
    let mut upper = Vec::new();
    let parent = hierarchy.directories.get(directory.origin.unwrap_or(directory.parent));
    if rock_ridge {
        own = nodes.attributes(directory.node);
        if at == 0 {
            own.insert(0, susp::sp());
            own.push(susp::er());
        }
        upper = nodes.attributes(parent.and_then(|parent| parent.node));
        if let Some(origin) = directory.origin {
            upper.push(susp::pl(place(origin).block));
        }
    }
    let up = place(directory.parent);
    let up_time = nodes.time(
        hierarchy
            .directories
            .get(directory.parent)
            .and_then(|parent| parent.node),
    );
    for (identifier, place, time, entries) in [([0], here, nodes.time(directory.node), own), ([1], up, up_time, upper)]
    {
        let field = continuation.place(entries, MAX_RECORD_LEN - RECORD - 1);
        push(
            &mut records,
            record(place.block, place.len as u32, time, DIRECTORY, &identifier, &field),
        );
    }

    for child in &directory.records {
        let name = &child.identifier;
        let entries = if rock_ridge {
            entries(hierarchy, child, places, nodes)
        } else {
            Vec::new()
        };
        // The name is followed by a byte if that makes the length even (ECMA-119 9.1.12).
        let max_len = MAX_RECORD_LEN.saturating_sub(RECORD + name.len() + (name.len() + 1) % 2);
        let field = continuation.place(entries, max_len);
        let time = nodes.time(child.node);
        match child.target {
            Target::Directory(id) => {
                let to = place(id);
                push(
                    &mut records,
                    record(to.block, to.len as u32, time, DIRECTORY, name, &field),
                );
            }
            Target::File => {
                let content = child.node.and_then(|id| nodes.contents.get(id.index()));
                sections(&mut records, content.copied().unwrap_or_default(), time, name, &field);
            }
            Target::Relocated(_) | Target::Special => push(&mut records, record(0, 0, time, 0, name, &field)),
        }
    }
    records.resize(records.len().next_multiple_of(BLOCK as usize), 0);
    Encoded {
        records,
        continuation: continuation.finish(),
    }
}

/// Encodes the system use entries of a record. Short ones come first, so that they are in the record
/// itself: libarchive ignores CL and RE in the continuation area.
fn entries(hierarchy: &Hierarchy<'_>, child: &Record<'_>, places: &[Place], nodes: &Nodes<'_>) -> Vec<Vec<u8>> {
    let mut entries = nodes.attributes(child.node);
    let mut target = Vec::new();
    match child.target {
        Target::Relocated(id) => entries.push(susp::cl(places.get(id).map_or(0, |place| place.block))),
        Target::Directory(id) => {
            let relocated = hierarchy
                .directories
                .get(id)
                .is_some_and(|directory| directory.origin.is_some());
            if relocated || hierarchy.relocated == Some(id) {
                entries.push(susp::re());
            }
        }
        Target::File => {}
        Target::Special => match child.node.map(|id| &nodes.tree.node(id).kind) {
            Some(Kind::Symlink(path)) => target = susp::sl(path),
            Some(Kind::CharDevice(device) | Kind::BlockDevice(device)) => entries.push(susp::pn(*device)),
            _ => {}
        },
    }
    entries.extend(susp::nm(child.name));
    entries.extend(target);
    entries
}

/// Appends the records of a file, one for each section (ECMA-119 6.5.1).
fn sections(records: &mut Vec<u8>, content: Place, time: Time, name: &[u8], field: &[u8]) {
    let mut block = content.block;
    let mut rest = content.len;
    while rest > SECTION {
        push(records, record(block, SECTION as u32, time, MULTI_EXTENT, name, field));
        block = block.saturating_add((SECTION / BLOCK) as u32);
        rest -= SECTION;
    }
    push(records, record(block, rest as u32, time, 0, name, field));
}

/// Encodes a directory record (ECMA-119 9.1).
fn record(block: u32, len: u32, time: Time, flags: u8, identifier: &[u8], system_use: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(both32(block));
    bytes.extend(both32(len));
    bytes.extend(short_time(time));
    bytes.extend([flags, 0, 0]);
    bytes.extend(both16(1));
    bytes.push(identifier.len() as u8);
    bytes.extend(identifier);
    if identifier.len().is_multiple_of(2) {
        bytes.push(0);
    }
    bytes.extend(system_use);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let len = bytes.len().min(MAX_RECORD_LEN) as u8;
    if let Some(first) = bytes.first_mut() {
        *first = len;
    }
    bytes
}

/// Appends a record, in the next block if it does not fit this one (ECMA-119 6.8.1.1).
fn push(records: &mut Vec<u8>, record: Vec<u8>) {
    let block = BLOCK as usize;
    if records.len() % block + record.len() > block {
        records.resize(records.len().next_multiple_of(block), 0);
    }
    records.extend(record);
}

/// Byte order of a path table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endian {
    /// Little endian, type L.
    Little,
    /// Big endian, type M.
    Big,
}

/// Encodes a path table (ECMA-119 9.4).
pub(crate) fn path_table(hierarchy: &Hierarchy<'_>, places: &[Place], endian: Endian) -> Vec<u8> {
    let mut numbers = vec![1u16; hierarchy.directories.len()];
    for (at, id) in hierarchy.order.iter().enumerate() {
        if let Some(number) = numbers.get_mut(*id) {
            *number = (at + 1).min(usize::from(u16::MAX)) as u16;
        }
    }
    let mut table = Vec::new();
    for &id in &hierarchy.order {
        let Some(directory) = hierarchy.directories.get(id) else {
            continue;
        };
        let block = places.get(id).map_or(0, |place| place.block);
        let parent = numbers.get(directory.parent).copied().unwrap_or(1);
        table.extend([directory.identifier.len() as u8, 0]);
        match endian {
            Endian::Little => {
                table.extend(block.to_le_bytes());
                table.extend(parent.to_le_bytes());
            }
            Endian::Big => {
                table.extend(block.to_be_bytes());
                table.extend(parent.to_be_bytes());
            }
        }
        table.extend(&directory.identifier);
        if directory.identifier.len() % 2 == 1 {
            table.push(0);
        }
    }
    table
}
