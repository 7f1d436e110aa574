//! Trees from archives.

use extents::Extents;
use tree::{Meta, Time, Tree, brief};

use crate::read::{Body, ReadError, entries};

/// Failure of [`read_tree`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadTreeError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ReadError),
    /// The tree refuses an entry.
    #[error("the tar entry {} cannot be unpacked: {source}", brief(path))]
    Entry {
        /// Name of the entry.
        path: Vec<u8>,
        /// Reason of the tree.
        source: tree::Error,
    },
}

/// Unpacks an archive into a tree, whose files are slices of the archive. Later entries replace
/// earlier ones of the same name. Directories that no entry describes get the mode 0755 and are
/// marked as implied.
///
/// # Errors
/// An archive that cannot be read, a path that leads out of the tree, a hard link without target,
/// and the limits of [`Tree::insert`].
pub fn read_tree(archive: &Extents) -> Result<Tree, ReadTreeError> {
    let implied = Meta {
        implied: true,
        ..Meta::new(0o755, Time::default())
    };
    let mut tree = Tree::new(implied.clone());
    for entry in entries(archive) {
        let entry = entry?;
        let result = match entry.body {
            Body::Node(kind) => tree.insert(&entry.path, entry.meta, kind, &implied),
            Body::Link(target) => tree.link(&entry.path, &target, &implied),
        };
        result.map_err(|source| ReadTreeError::Entry {
            path: entry.path,
            source,
        })?;
    }
    Ok(tree)
}
