//! UUID and hash seed of a filesystem, derived from the tree.

use sha2::{Digest, Sha256};
use tree::{Tree, TreeFingerprint};
use uuid::Uuid;

use crate::options::Options;

/// Derives the UUID from the tree and the options.
pub fn uuid(tree: &Tree, options: &Options) -> Uuid {
    let mut fingerprint = TreeFingerprint::new("ext4");
    fingerprint.bytes(options.label.as_bytes());
    fingerprint.number(options.time.seconds as u64);
    fingerprint.number(options.size.unwrap_or(0));
    fingerprint.number(options.boot.into());
    fingerprint.tree(tree);
    fingerprint.uuid()
}

/// Derives the seed of the hashes of names, by which collisions cannot be known in advance.
pub fn hash_seed(uuid: Uuid) -> [u32; 4] {
    let digest = Sha256::new_with_prefix(b"ext4 hash")
        .chain_update(uuid.as_bytes())
        .finalize();
    let mut seed = [0; 4];
    for (word, bytes) in seed.iter_mut().zip(digest.chunks(4)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    seed
}
