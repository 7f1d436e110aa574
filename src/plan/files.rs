//! Small files that boot loaders and archives consist of.

use extents::Extents;
use tree::{Kind, Meta, Time, Tree};

use super::Error;

/// Puts a file into a tree, with root as its owner, mode 0644 and the time of the build.
///
/// # Errors
/// A path that the tree cannot have.
pub fn put(tree: &mut Tree, path: &str, content: Extents, time: i64) -> Result<(), Error> {
    let time = Time::from_seconds(time);
    let (file, parents) = (Meta::new(0o644, time), Meta::new(0o755, time));
    let put = tree.insert(path.as_bytes(), file, Kind::File(content), &parents);
    put.map(drop).map_err(|source| Error::Tree {
        path: path.to_owned(),
        source,
    })
}

/// Creates a file of text.
pub fn text(text: impl Into<String>) -> Extents {
    Extents::from_bytes(text.into().into_bytes())
}

/// Creates a tree whose root has the time of the build.
pub fn empty(time: i64) -> Tree {
    Tree::new(Meta::new(0o755, Time::from_seconds(time)))
}

/// Returns the options that every FAT filesystem has.
pub fn fat_options(label: &str, time: i64) -> fat::Options {
    let mut options = fat::Options::default();
    options.label = label.into();
    options.time = Time::from_seconds(time);
    options.oem_name = *b"MOBY    ";
    options
}
