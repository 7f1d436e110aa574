//! What a filesystem is known by when the caller says nothing.

use tree::{Identity, Tree};

use crate::Options;

/// A UUID for what is in a filesystem.
pub(crate) fn uuid(tree: &Tree, options: &Options) -> u128 {
    let mut identity = Identity::new("erofs");
    identity.bytes(options.label.as_bytes());
    identity.bytes(options.compressor.name().as_bytes());
    identity.number(options.time.seconds as u64);
    identity.number(options.time.nanoseconds.into());
    identity.tree(tree);
    identity.uuid()
}
