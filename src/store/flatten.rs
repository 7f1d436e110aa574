//! Layers laid over each other, as containerd unpacks them (OCI Image Layer Filesystem
//! Changeset): whiteouts, and a later type in place of an earlier one.

use extents::Extents;
use pax::Body;
use tree::{Kind, Meta, Time, Tree};

use crate::oci::{Error, Layer};

/// The prefix of a name that removes another.
const WHITEOUT: &[u8] = b".wh.";
/// Names with this prefix are marks for filesystems.
const RESERVED: &[u8] = b".wh..wh.";
/// The mark of a folder that hides what lower layers have in it (Changeset, "Opaque Whiteout").
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What folders get that no layer describes.
fn undescribed() -> Meta {
    Meta {
        implied: true,
        ..Meta::new(0o755, Time::default())
    }
}

/// The tree of an image without layers.
pub fn empty() -> Tree {
    Tree::new(undescribed())
}

/// The folders that a layer says are opaque, and in which the tree of the layers below has something.
///
/// # Errors
/// A damaged tar.
pub fn opaque(tree: &Tree, archive: &Extents, name: &str, layer: &Layer) -> Result<Vec<Vec<u8>>, Error> {
    let mut folders = Vec::new();
    // Nothing is below the lowest layer.
    if tree.capacity() == 1 {
        return Ok(folders);
    }
    for entry in pax::entries(archive) {
        let entry = entry.map_err(|source| damaged(source, name, layer))?;
        let path = clean(&entry.path);
        let (folder, base) = split(&path);
        if base == OPAQUE
            && !entry.body.is_directory()
            && let Some(below) = tree.lookup(folder)
            && matches!(&tree.node(below).kind, Kind::Directory(entries) if !entries.is_empty())
        {
            folders.push(folder.to_vec());
        }
    }
    Ok(folders)
}

/// Lays one more layer over the tree. Of opaque folders it hides nothing: [`opaque`] tells them.
///
/// # Errors
/// A damaged tar, and entries that lead out of the tree.
pub fn apply(tree: &mut Tree, archive: &Extents, name: &str, layer: &Layer) -> Result<(), Error> {
    let parents = undescribed();
    for entry in pax::entries(archive) {
        let entry = entry.map_err(|source| damaged(source, name, layer))?;
        let wrong = |source| Error::Entry {
            name: name.to_owned(),
            digest: layer.digest().to_owned(),
            path: entry.path.clone(),
            source,
        };
        let path = clean(&entry.path);
        let (folder, base) = split(&path);
        if let Some(hidden) = base.strip_prefix(WHITEOUT)
            && !entry.body.is_directory()
        {
            if !base.starts_with(RESERVED) && !hidden.is_empty() {
                tree.remove(&join(folder, hidden));
            }
            continue;
        }
        let meta = entry.meta.clone();
        let kind = match entry.body.clone() {
            Body::Link(target) => {
                tree.link(&path, &target, &parents).map_err(wrong)?;
                continue;
            }
            Body::Node(kind) => kind,
        };
        tree.insert(&path, meta, kind, &parents).map_err(wrong)?;
    }
    Ok(())
}

fn damaged(source: pax::ReadError, name: &str, layer: &Layer) -> Error {
    Error::Tar {
        name: name.to_owned(),
        digest: layer.digest().to_owned(),
        source,
    }
}

/// Without empty and `.` components; `..` is left for the tree to refuse.
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
            let (folder, base) = path.split_at(at);
            (folder, base.strip_prefix(b"/").unwrap_or(base))
        }
        None => (b"", path),
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_vec();
    }
    [folder, b"/", name].concat()
}
