//! Digests of salted blocks, on several threads.

use std::fmt;
use std::io;

use extents::Extents;
use sha2::{Digest, Sha256, Sha512};

/// Length of the pieces that threads read and hash, in bytes: a multiple of every block size.
const PIECE_LEN: u64 = 1 << 20;

/// Hash function of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Returns the name in Linux's crypto API, which the superblock stores.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Returns the length of a digest in bytes, a power of two.
    pub fn digest_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }

    /// Returns the algorithm with this name.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [Algorithm::Sha256, Algorithm::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.name().as_bytes() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// State of the hash function behind the salt.
#[derive(Clone)]
pub(crate) enum Salted {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Salted {
    pub(crate) fn new(algorithm: Algorithm, salt: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha256 => Salted::Sha256(Sha256::new_with_prefix(salt)),
            Algorithm::Sha512 => Salted::Sha512(Sha512::new_with_prefix(salt)),
        }
    }

    /// Appends the digest of a block to `out`.
    pub(crate) fn push_digest(&self, block: &[u8], out: &mut Vec<u8>) {
        match self {
            Salted::Sha256(state) => out.extend_from_slice(&state.clone().chain_update(block).finalize()),
            Salted::Sha512(state) => out.extend_from_slice(&state.clone().chain_update(block).finalize()),
        }
    }

    /// Returns the digest of a block.
    pub(crate) fn digest(&self, block: &[u8]) -> Vec<u8> {
        let mut digest = Vec::new();
        self.push_digest(block, &mut digest);
        digest
    }
}

/// Reason for which digests are not computed to the end.
pub(crate) enum Failure<E> {
    Read(io::Error),
    Take(E),
}

/// Hashes `input`, whose length is a multiple of `block_size`, on `jobs` threads. `take` gets the
/// digests in order, and the number of bytes that they stand for.
pub(crate) fn for_each<E: Send>(
    input: &Extents,
    block_size: u32,
    salted: &Salted,
    jobs: usize,
    mut take: impl FnMut(&[u8], u64) -> Result<(), E>,
) -> Result<(), Failure<E>> {
    let block_size = block_size as usize;
    let zeros = salted.digest(&vec![0; block_size]);
    let pieces = (0..input.len().div_ceil(PIECE_LEN)).map(|number| input.part(number * PIECE_LEN, PIECE_LEN));
    let hash = |buf: &mut Vec<u8>, piece: Extents| {
        let len = piece.len() as usize;
        if piece.extents().is_empty() {
            return Ok((zeros.repeat(len / block_size), piece.len()));
        }
        buf.resize(len, 0);
        piece.read_exact_at(buf, 0).map_err(Failure::Read)?;
        let mut digests = Vec::with_capacity(len / block_size * zeros.len());
        for block in buf.chunks_exact(block_size) {
            salted.push_digest(block, &mut digests);
        }
        Ok((digests, piece.len()))
    };
    ordered::map(pieces, jobs, Vec::new, hash, |(digests, len)| {
        take(&digests, len).map_err(Failure::Take)
    })
}
