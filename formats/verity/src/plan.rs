//! Planning of a hash area from data.

use std::convert::Infallible;
use std::io;

use extents::Extents;
use ordered::Spill;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::digest::{self, Failure, Salted};
use crate::error::Error;
use crate::geometry;
use crate::options::{Options, check_block_size, check_salt};
use crate::superblock::Superblock;

/// Maximum length of a level that is kept in memory, in bytes: that of 1 GiB of data.
const MAX_LEVEL_IN_MEMORY: u64 = 8 << 20;
/// Length of the head and of the tail of the data of which a salt is derived, in bytes.
const SALTED_LEN: u64 = 64 << 10;

/// Planned hash area.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HashArea {
    /// Superblock and tree. Their place is a device of their own, or behind the data at a multiple
    /// of the hash block size.
    pub extents: Extents,
    /// Root hash, with the length of a digest.
    pub root_hash: Vec<u8>,
    /// Parameters of the tree.
    pub superblock: Superblock,
}

/// Plans the hash area of `data`. The data is read and hashed now.
///
/// # Errors
/// Invalid options, data that is empty or does not end with a whole block, data that cannot be read,
/// and digests that cannot be written.
pub fn plan(data: &Extents, options: &Options) -> Result<HashArea, Error> {
    plan_with_progress(data, options, &|_| {})
}

/// Plans a hash area as [`plan`] does. `progress` gets the numbers of bytes of the data that are
/// hashed.
///
/// # Errors
/// The errors of [`plan`].
pub fn plan_with_progress(data: &Extents, options: &Options, progress: &dyn Fn(u64)) -> Result<HashArea, Error> {
    check_block_size(options.data_block_size)?;
    check_block_size(options.hash_block_size)?;
    check_salt(options.salt.as_ref().map_or(0, Vec::len))?;
    if data.is_empty() {
        return Err(Error::Empty);
    }
    if !data.len().is_multiple_of(options.data_block_size.into()) {
        return Err(Error::PartialBlock {
            len: data.len(),
            block_size: options.data_block_size,
        });
    }
    let salt = match &options.salt {
        Some(salt) => salt.clone(),
        None => derive_salt(data).map_err(Error::Read)?,
    };
    let mut superblock = Superblock {
        uuid: options.uuid.unwrap_or_default(),
        algorithm: options.algorithm,
        data_block_size: options.data_block_size,
        hash_block_size: options.hash_block_size,
        data_blocks: data.len() / u64::from(options.data_block_size),
        salt,
    };
    let salted = Salted::new(superblock.algorithm, &superblock.salt);
    let mut area = Extents::zeros(superblock.hash_area_len());
    let mut input = (data.clone(), options.data_block_size);
    for (number, range) in geometry::levels(&superblock).into_iter().enumerate() {
        let done = |len| {
            if number == 0 {
                progress(len);
            }
        };
        let (blocks, block_size) = &input;
        let mut level = hash_level(blocks, *block_size, &salted, range.end - range.start, options, &done)?;
        level.set_len(range.end - range.start);
        area.put(range.start, &level);
        input = (level, options.hash_block_size);
    }
    // One block is left: the top of the tree, or the only data block.
    let mut top = vec![0; input.1 as usize];
    input.0.read_exact_at(&mut top, 0).map_err(Error::Read)?;
    let root_hash = salted.digest(&top);
    if superblock.data_blocks == 1 {
        progress(data.len());
    }
    if let (None, Some(head)) = (options.uuid, root_hash.first_chunk()) {
        superblock.uuid = Uuid::from_bytes(*head);
    }
    area.put_bytes(0, superblock.encode());
    Ok(HashArea {
        extents: area,
        root_hash,
        superblock,
    })
}

/// Hashes the blocks of one level, or of the data. The digests take `len` bytes with their padding.
fn hash_level(
    input: &Extents,
    block_size: u32,
    salted: &Salted,
    len: u64,
    options: &Options,
    progress: &dyn Fn(u64),
) -> Result<Extents, Error> {
    if len <= MAX_LEVEL_IN_MEMORY {
        let mut digests = Vec::with_capacity(len as usize);
        let hashed = digest::for_each(input, block_size, salted, options.jobs, |more, len| {
            digests.extend_from_slice(more);
            progress(len);
            Ok::<(), Infallible>(())
        });
        return match hashed {
            Ok(()) => Ok(Extents::from_bytes(digests)),
            Err(Failure::Read(error)) => Err(Error::Read(error)),
            Err(Failure::Take(never)) => match never {},
        };
    }
    let mut spill = Spill::new(&options.temp_dir);
    let hashed = digest::for_each(input, block_size, salted, options.jobs, |more, len| {
        progress(len);
        spill.push(more)
    });
    match hashed {
        Ok(()) => spill.finish().map_err(Error::Write),
        Err(Failure::Read(error)) => Err(Error::Read(error)),
        Err(Failure::Take(error)) => Err(Error::Write(error)),
    }
}

/// Derives a salt from the length and the ends of the data. Filesystems keep their identifiers and
/// tables there, so images differ in them; hashing everything would be a second pass.
fn derive_salt(data: &Extents) -> io::Result<Vec<u8>> {
    let len = data.len().min(SALTED_LEN);
    let head = data.part(0, len).to_vec()?;
    let tail = data.part(data.len() - len, len).to_vec()?;
    let hash = Sha256::new_with_prefix(data.len().to_le_bytes());
    Ok(hash.chain_update(head).chain_update(tail).finalize().to_vec())
}
