//! Options of the hash area.

use std::path::PathBuf;

use uuid::Uuid;

use crate::digest::Algorithm;
use crate::error::Error;
use crate::{MAX_BLOCK_SIZE, MAX_SALT_LEN, MIN_BLOCK_SIZE};

/// Options of [`plan`](crate::plan). Start with the default and assign fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Hash function.
    pub algorithm: Algorithm,
    /// Size of a data block in bytes: a power of two from 512 to 4096.
    pub data_block_size: u32,
    /// Size of a hash block in bytes: a power of two from 512 to 4096.
    pub hash_block_size: u32,
    /// Salt, at most 256 bytes. `None` derives 32 bytes from the data: the SHA-256 of its length (64
    /// bits, little-endian), its first 64 KiB and its last 64 KiB.
    pub salt: Option<Vec<u8>>,
    /// Identifier of the hash area. `None` derives it from the data: the first 16 bytes of the root
    /// hash.
    pub uuid: Option<Uuid>,
    /// Number of threads that hash, at least 1.
    pub jobs: usize,
    /// Directory of the unnamed file that holds the levels of a large tree.
    pub temp_dir: PathBuf,
}

impl Default for Options {
    /// Options with SHA-256, blocks of 4096 bytes, derived salt and identifier, one thread and the
    /// temporary directory of the system.
    fn default() -> Self {
        Options {
            algorithm: Algorithm::default(),
            data_block_size: MAX_BLOCK_SIZE,
            hash_block_size: MAX_BLOCK_SIZE,
            salt: None,
            uuid: None,
            jobs: 1,
            temp_dir: std::env::temp_dir(),
        }
    }
}

/// Refuses sizes that dm-verity does not have.
pub(crate) fn check_block_size(size: u32) -> Result<(), Error> {
    if size.is_power_of_two() && (MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE).contains(&size) {
        Ok(())
    } else {
        Err(Error::BlockSize { size })
    }
}

/// Refuses salts that the superblock cannot store.
pub(crate) fn check_salt(len: usize) -> Result<(), Error> {
    if len <= MAX_SALT_LEN {
        Ok(())
    } else {
        Err(Error::SaltLength { len })
    }
}
