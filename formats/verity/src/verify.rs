//! Verification of data against a hash area.

use extents::Extents;

use crate::SUPERBLOCK_LEN;
use crate::digest::{self, Failure, Salted};
use crate::error::{Error, Mismatch};
use crate::geometry;
use crate::superblock::Superblock;

/// Returns the root hash of a hash area: the digest of the top of its tree, or of the data if that is
/// a single block. Nothing below the top is read.
///
/// # Errors
/// The errors of [`Superblock::parse`]; data or a hash area that is too short or cannot be read.
pub fn root_hash(data: &Extents, hash_area: &Extents) -> Result<Vec<u8>, Error> {
    Parts::open(data, hash_area)?.root_hash()
}

/// Verifies `data` against a hash area on `jobs` threads, and returns the parameters of the tree. Data
/// behind the last data block and bytes behind the tree are not read. The root hash does not cover the
/// number of data blocks, see [`Superblock`].
///
/// # Errors
/// [`Error::RootHash`] for a tree that has another root hash, [`Error::Mismatch`] for the first block
/// that differs, and the errors of [`root_hash`].
pub fn verify(data: &Extents, hash_area: &Extents, root_hash: &[u8], jobs: usize) -> Result<Superblock, Error> {
    let parts = Parts::open(data, hash_area)?;
    let found = parts.root_hash()?;
    if found != root_hash {
        return Err(Error::RootHash { found });
    }
    // From the top down, so that the digests that the data is compared with are authentic.
    for (level, digests) in parts.levels.iter().enumerate().rev() {
        let block_size = parts.block_size(level);
        let digest_len = parts.superblock.algorithm.digest_len();
        let mut offset = 0;
        let compare = |computed: &[u8], _| {
            let mut stored = vec![0; computed.len()];
            digests.read_exact_at(&mut stored, offset).map_err(Error::Read)?;
            let pairs = computed.chunks(digest_len).zip(stored.chunks(digest_len));
            if let Some(at) = pairs.into_iter().position(|(computed, stored)| computed != stored) {
                let block = offset / digest_len as u64 + at as u64;
                return Err(Error::Mismatch(match level.checked_sub(1) {
                    Some(level) => Mismatch::Hash { level, block },
                    None => Mismatch::Data { block },
                }));
            }
            offset += computed.len() as u64;
            Ok(())
        };
        let blocks = parts.blocks(level);
        match digest::for_each(blocks, block_size, &parts.salted, jobs, compare) {
            Ok(()) => {}
            Err(Failure::Read(error)) => return Err(Error::Read(error)),
            Err(Failure::Take(error)) => return Err(error),
        }
    }
    Ok(parts.superblock)
}

/// Data and levels of a tree.
struct Parts {
    superblock: Superblock,
    salted: Salted,
    data: Extents,
    /// From level 0 to the top.
    levels: Vec<Extents>,
}

impl Parts {
    fn open(data: &Extents, hash_area: &Extents) -> Result<Self, Error> {
        let head = hash_area.part(0, SUPERBLOCK_LEN).to_vec().map_err(Error::Read)?;
        let superblock = Superblock::parse(&head)?;
        let (data_len, tree_end) = (superblock.data_len(), superblock.hash_area_len());
        if data.len() < data_len {
            return Err(Error::ShortData {
                len: data.len(),
                expected: data_len,
            });
        }
        if hash_area.len() < tree_end {
            return Err(Error::ShortTree {
                len: hash_area.len(),
                expected: tree_end,
            });
        }
        let levels = geometry::levels(&superblock).into_iter();
        Ok(Parts {
            salted: Salted::new(superblock.algorithm, &superblock.salt),
            data: data.part(0, data_len),
            levels: levels
                .map(|range| hash_area.part(range.start, range.end - range.start))
                .collect(),
            superblock,
        })
    }

    /// Returns the blocks whose digests a level has.
    fn blocks(&self, level: usize) -> &Extents {
        level
            .checked_sub(1)
            .and_then(|below| self.levels.get(below))
            .unwrap_or(&self.data)
    }

    /// Returns the size of the blocks whose digests a level has, in bytes.
    fn block_size(&self, level: usize) -> u32 {
        if level == 0 {
            self.superblock.data_block_size
        } else {
            self.superblock.hash_block_size
        }
    }

    fn root_hash(&self) -> Result<Vec<u8>, Error> {
        let top = self.blocks(self.levels.len());
        let mut block = vec![0; self.block_size(self.levels.len()) as usize];
        top.read_exact_at(&mut block, 0).map_err(Error::Read)?;
        Ok(self.salted.digest(&block))
    }
}
