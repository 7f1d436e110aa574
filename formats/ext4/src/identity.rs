//! What a filesystem is known by when the caller says nothing.

use sha2::{Digest, Sha256};
use tree::{Identity, Tree};

use crate::Options;

/// A UUID for what is in a filesystem.
pub fn uuid(tree: &Tree, options: &Options) -> u128 {
    let mut identity = Identity::new("ext4");
    identity.bytes(options.label.as_bytes());
    identity.number(options.time.seconds as u64);
    identity.number(options.size.unwrap_or(0));
    identity.number(options.boot.into());
    identity.tree(tree);
    identity.uuid()
}

/// What names are hashed with, so that nobody can know in advance which meet.
pub fn hash_seed(uuid: u128) -> [u32; 4] {
    let digest = Sha256::new_with_prefix(b"ext4 hash")
        .chain_update(uuid.to_be_bytes())
        .finalize();
    let mut seed = [0; 4];
    for (word, bytes) in seed.iter_mut().zip(digest.chunks(4)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    seed
}
