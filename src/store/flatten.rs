//! Applying layers over each other, as containerd does (OCI Image Layer Filesystem Changeset): whiteouts,
//! and entries that replace others of another type.

use extents::Extents;
use pax::Body;
use tree::{Kind, Meta, Time, Tree};

use crate::oci::{Error, Layer};

/// Prefix of the name of a whiteout.
const WHITEOUT: &[u8] = b".wh.";
/// Prefix of names that are reserved for filesystems.
const RESERVED: &[u8] = b".wh..wh.";
/// Name of the marker that hides the entries of lower layers in its directory (Changeset, "Opaque
/// Whiteout").
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Returns the metadata of directories without an entry of their own.
fn implied() -> Meta {
    Meta {
        implied: true,
        ..Meta::new(0o755, Time::default())
    }
}

/// Returns the tree of an image without layers.
pub fn empty() -> Tree {
    Tree::new(implied())
}

/// Lists the opaque directories of a layer that are not empty in the tree of the layers below.
///
/// # Errors
/// A corrupt tar.
pub fn opaque(tree: &Tree, archive: &Extents, name: &str, layer: &Layer) -> Result<Vec<Vec<u8>>, Error> {
    let mut dirs = Vec::new();
    // Nothing is below the lowest layer.
    if tree.is_empty() {
        return Ok(dirs);
    }
    for entry in pax::entries(archive) {
        let entry = entry.map_err(|source| corrupt(source, name, layer))?;
        let path = clean(&entry.path);
        let (dir, base) = split(&path);
        if base == OPAQUE
            && !entry.body.is_directory()
            && let Some(below) = tree.lookup(dir)
            && matches!(&tree.node(below).kind, Kind::Directory(entries) if !entries.is_empty())
        {
            dirs.push(dir.to_vec());
        }
    }
    Ok(dirs)
}

/// Applies a layer to the tree. Its nodes get `number` as their [`Meta::source`]. Ignores opaque
/// whiteouts, which [`opaque`] lists.
///
/// # Errors
/// A corrupt tar, and entries that leave the tree.
pub fn apply(tree: &mut Tree, archive: &Extents, name: &str, layer: &Layer, number: u32) -> Result<(), Error> {
    let parents = Meta {
        source: number,
        ..implied()
    };
    for entry in pax::entries(archive) {
        let entry = entry.map_err(|source| corrupt(source, name, layer))?;
        let refused = |source| Error::Entry {
            name: name.to_owned(),
            digest: layer.digest().to_owned(),
            path: entry.path.clone(),
            source,
        };
        let path = clean(&entry.path);
        let (dir, base) = split(&path);
        if let Some(hidden) = base.strip_prefix(WHITEOUT)
            && !entry.body.is_directory()
        {
            if !base.starts_with(RESERVED) && !hidden.is_empty() {
                tree.remove(&join(dir, hidden));
            }
            continue;
        }
        let meta = Meta {
            source: number,
            ..entry.meta.clone()
        };
        let kind = match entry.body.clone() {
            Body::Link(target) => {
                tree.link(&path, &target, &parents).map_err(refused)?;
                continue;
            }
            Body::Node(kind) => kind,
        };
        tree.insert(&path, meta, kind, &parents).map_err(refused)?;
    }
    Ok(())
}

fn corrupt(source: pax::ReadError, name: &str, layer: &Layer) -> Error {
    Error::Tar {
        name: name.to_owned(),
        digest: layer.digest().to_owned(),
        source,
    }
}

/// Removes empty and `.` components; the tree refuses `..`.
fn clean(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    parts.join(&b'/')
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => {
            let (dir, base) = path.split_at(at);
            (dir, base.strip_prefix(b"/").unwrap_or(base))
        }
        None => (b"", path),
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() {
        return name.to_vec();
    }
    [dir, b"/", name].concat()
}
