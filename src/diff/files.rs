//! Files that were added, removed or changed.

use std::collections::BTreeMap;
use std::io;

use extents::{Extents, emit};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tree::{Kind, Node, NodeId, Tree, show};

use super::{Change, StoredProperties};
use crate::oci::digest;

/// Bytes that are compared at once.
const CHUNK: u64 = 1 << 20;

/// File that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Path without a leading `/`.
    pub path: String,
    /// Properties that differ. Of a file that was added or removed, the type.
    pub changes: BTreeMap<Property, Change>,
}

impl FileChange {
    /// Returns true for a directory that was added or removed.
    pub fn is_one_sided_directory(&self) -> bool {
        let kind = self.changes.get(&Property::Type);
        kind.is_some_and(|kind| match (&kind.old, &kind.new) {
            (Some(kind), None) | (None, Some(kind)) => kind == "directory",
            _ => false,
        })
    }
}

/// Property of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Property {
    /// Type: `file`, `directory` and others.
    Type,
    /// Size and SHA-256 of the content.
    Content,
    /// Target of a symbolic link.
    Target,
    /// Device number.
    Device,
    /// Permissions in octal.
    Mode,
    /// User and group ID.
    Owner,
    /// Time of last modification.
    Mtime,
    /// Extended attributes.
    Xattrs,
}

impl Property {
    /// Name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Property::Type => "type",
            Property::Content => "content",
            Property::Target => "target",
            Property::Device => "device",
            Property::Mode => "mode",
            Property::Owner => "owner",
            Property::Mtime => "mtime",
            Property::Xattrs => "xattrs",
        }
    }
}

/// Compares two trees by the properties that both formats store. Contents are released once they are read.
///
/// # Errors
/// Content that cannot be read.
pub fn compare(old: &mut Tree, new: &mut Tree, stored: StoredProperties) -> io::Result<Vec<FileChange>> {
    let list = |tree: &Tree| -> BTreeMap<Vec<u8>, NodeId> {
        let items = tree.walk().skip(1);
        items.map(|named| (named.path, named.id)).collect()
    };
    let (old_ids, mut new_ids) = (list(old), list(new));
    let mut compared = Vec::new();
    let mut changes = BTreeMap::new();
    for (path, old_id) in old_ids {
        let Some(new_id) = new_ids.remove(&path) else {
            let kind = type_name(&old.node(old_id).kind);
            changes.insert(path, BTreeMap::from([(Property::Type, removed(kind))]));
            continue;
        };
        compared.push((path, old_id, new_id));
    }
    for (path, new_id) in new_ids {
        let kind = type_name(&new.node(new_id).kind);
        changes.insert(path, BTreeMap::from([(Property::Type, added(kind))]));
    }
    // Names of one node are compared once.
    let mut first: BTreeMap<(NodeId, NodeId), Option<Change>> = BTreeMap::new();
    for (path, old_id, new_id) in compared {
        let (old_node, new_node) = (old.node(old_id), new.node(new_id));
        let mut found = properties(old_node, new_node, stored);
        if let (Kind::File(one), Kind::File(other)) = (&old_node.kind, &new_node.kind) {
            let change = match first.get(&(old_id, new_id)) {
                Some(change) => change.clone(),
                None => {
                    let change = content(one, other)?;
                    first.insert((old_id, new_id), change.clone());
                    change
                }
            };
            found.extend(change.map(|change| (Property::Content, change)));
            if old_node.nlink() == 1 && new_node.nlink() == 1 {
                release(old, old_id);
                release(new, new_id);
            }
        }
        if !found.is_empty() {
            changes.insert(path, found);
        }
    }
    let changes = changes.into_iter().map(|(path, changes)| FileChange {
        path: show(&path),
        changes,
    });
    Ok(changes.collect())
}

/// Compares files by content only.
///
/// # Errors
/// Content that cannot be read.
pub fn compare_contents(
    old: &BTreeMap<String, Extents>,
    new: &BTreeMap<String, Extents>,
) -> io::Result<Vec<FileChange>> {
    let mut changes = BTreeMap::new();
    for (path, one) in old {
        let change = match new.get(path) {
            None => Some((Property::Type, removed("file"))),
            Some(other) => content(one, other)?.map(|change| (Property::Content, change)),
        };
        changes.extend(change.map(|change| (path.clone(), BTreeMap::from([change]))));
    }
    for path in new.keys().filter(|path| !old.contains_key(*path)) {
        changes.insert(path.clone(), BTreeMap::from([(Property::Type, added("file"))]));
    }
    let changes = changes.into_iter();
    Ok(changes.map(|(path, changes)| FileChange { path, changes }).collect())
}

/// Compares two contents.
///
/// # Errors
/// Content that cannot be read.
pub fn content(old: &Extents, new: &Extents) -> io::Result<Option<Change>> {
    if old.len() == new.len() && first_difference(old, new)?.is_none() {
        return Ok(None);
    }
    let describe = |content: &Extents| -> io::Result<String> {
        let mut hash = Sha256::new();
        emit::chunks(content, |chunk| {
            hash.update(chunk);
            Ok(())
        })?;
        Ok(format!("{} bytes, {}", content.len(), digest(hash)))
    };
    Ok(Some(Change {
        old: Some(describe(old)?),
        new: Some(describe(new)?),
    }))
}

/// Returns the offset of the first byte that differs; that of the end of the shorter one if it is a prefix
/// of the longer. None if both are equal.
///
/// # Errors
/// Content that cannot be read.
pub fn first_difference(old: &Extents, new: &Extents) -> io::Result<Option<u64>> {
    let shorter = old.len().min(new.len());
    let mut at = 0;
    while at < shorter {
        let len = CHUNK.min(shorter - at);
        let (one, other) = (old.part(at, len).to_vec()?, new.part(at, len).to_vec()?);
        if let Some(offset) = one.iter().zip(&other).position(|(one, other)| one != other) {
            return Ok(Some(at + offset as u64));
        }
        at += len;
    }
    Ok((old.len() != new.len()).then_some(shorter))
}

fn added(kind: &str) -> Change {
    Change {
        old: None,
        new: Some(kind.to_owned()),
    }
}

fn removed(kind: &str) -> Change {
    Change {
        old: Some(kind.to_owned()),
        new: None,
    }
}

/// Compares all properties but the content.
fn properties(old: &Node, new: &Node, stored: StoredProperties) -> BTreeMap<Property, Change> {
    let mut changes = BTreeMap::new();
    let stored = if old.meta.implied || new.meta.implied {
        // An archive has no entry for a directory that is only the parent of another.
        StoredProperties::NONE
    } else {
        stored
    };
    let mut compare = |property: Property, text: &dyn Fn(&Node) -> Option<String>| {
        changes.extend(Change::between(text(old), text(new)).map(|change| (property, change)));
    };
    compare(Property::Type, &|node| Some(type_name(&node.kind).to_owned()));
    compare(Property::Target, &|node| match &node.kind {
        Kind::Symlink(target) => Some(show(target)),
        _ => None,
    });
    if stored.devices {
        compare(Property::Device, &|node| match &node.kind {
            Kind::CharDevice(device) | Kind::BlockDevice(device) => Some(format!("{}:{}", device.major, device.minor)),
            _ => None,
        });
    }
    // Linux ignores the mode of a symbolic link, and formats store different ones.
    let are_links = matches!((&old.kind, &new.kind), (Kind::Symlink(_), Kind::Symlink(_)));
    if stored.mode && !are_links {
        compare(Property::Mode, &|node| Some(format!("{:04o}", node.meta.mode)));
    }
    if stored.owner {
        compare(Property::Owner, &|node| {
            Some(format!("{}:{}", node.meta.uid, node.meta.gid))
        });
    }
    if stored.mtime {
        compare(Property::Mtime, &|node| {
            Some(crate::time::rfc3339(node.meta.mtime.seconds))
        });
    }
    if stored.xattrs {
        compare(Property::Xattrs, &|node| {
            let attributes = node.meta.xattrs.iter();
            let text = attributes.map(|(name, value)| format!("{}={}", show(name), value.escape_ascii()));
            Some(text.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
        });
    }
    changes
}

/// Drops the content of a file, which a reader may hold in memory once it was read.
fn release(tree: &mut Tree, id: NodeId) {
    if let Kind::File(content) = &mut tree.node_mut(id).kind {
        *content = Extents::new();
    }
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory(_) => "directory",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "symbolic link",
        Kind::CharDevice(_) => "character device",
        Kind::BlockDevice(_) => "block device",
        Kind::Fifo => "named pipe",
        Kind::Socket => "socket",
    }
}
