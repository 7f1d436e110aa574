//! Putting nodes into the tree of a package.

use extents::Extents;
use tree::{Kind, Meta, Tree};

use super::error::cannot;
use crate::diagnostic::Diagnostic;
use crate::time::default_meta;

/// Puts a node into a tree, with root's directories above it.
///
/// # Errors
/// A path that the tree cannot have.
pub fn put(tree: &mut Tree, path: &str, meta: Meta, kind: Kind) -> Result<(), Diagnostic> {
    let inserted = tree.insert(path.as_bytes(), meta, kind, &default_meta(0o755));
    inserted.map(drop).map_err(cannot(format!("add {path}")))
}

/// Puts a file of root's into a tree.
///
/// # Errors
/// A path that the tree cannot have.
pub fn put_file(tree: &mut Tree, path: &str, mode: u32, content: Extents) -> Result<(), Diagnostic> {
    put(tree, path, default_meta(mode), Kind::File(content))
}
