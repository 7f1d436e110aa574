//! UUID of a filesystem, derived from the tree.

use tree::{Tree, TreeFingerprint};
use uuid::Uuid;

use crate::options::Options;

/// Derives the UUID from the tree and the options.
pub(crate) fn uuid(tree: &Tree, options: &Options) -> Uuid {
    let mut fingerprint = TreeFingerprint::new("erofs");
    fingerprint.bytes(options.label.as_bytes());
    fingerprint.bytes(options.compressor.name().as_bytes());
    fingerprint.number(options.time.seconds as u64);
    fingerprint.number(options.time.nanoseconds.into());
    fingerprint.tree(tree);
    fingerprint.uuid()
}
