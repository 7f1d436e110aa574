//! Superblock (cryptsetup, wiki page DMVerity, "Verity superblock format").

use uuid::Uuid;

use crate::digest::Algorithm;
use crate::error::Error;
use crate::geometry;
use crate::options::{check_block_size, check_salt};
use crate::{MAX_SALT_LEN, SUPERBLOCK_LEN};

const SIGNATURE: &[u8; 8] = b"verity\0\0";
const VERSION: u32 = 1;
/// Type of a tree whose salt precedes the block and whose digests are padded to a power of two.
const HASH_TYPE: u32 = 1;
/// Length of the field for the name of the algorithm, in bytes.
const ALGORITHM_LEN: usize = 32;

/// Parameters of a hash tree.
///
/// The root hash does not cover the number of data blocks. A reader that must have all of the data
/// compares [`data_blocks`](Self::data_blocks) with a number that it trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Superblock {
    /// Identifier of the hash area.
    pub uuid: Uuid,
    /// Hash function.
    pub algorithm: Algorithm,
    /// Size of a data block in bytes: a power of two from 512 to 4096.
    pub data_block_size: u32,
    /// Size of a hash block in bytes: a power of two from 512 to 4096.
    pub hash_block_size: u32,
    /// Number of data blocks, at least 1.
    pub data_blocks: u64,
    /// Salt, at most 256 bytes.
    pub salt: Vec<u8>,
}

impl Superblock {
    /// Reads a superblock from the first 512 bytes of a hash area.
    ///
    /// # Errors
    /// Bytes that are no superblock; a version, hash type, algorithm or block size that is not
    /// supported; a salt that is too long; no data block, or too many.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::fields(bytes).ok_or(Error::NoSuperblock)?
    }

    /// Reads the fields; `None` if there are too few bytes or the signature differs.
    fn fields(bytes: &[u8]) -> Option<Result<Self, Error>> {
        let (bytes, _) = bytes.split_at_checked(SUPERBLOCK_LEN as usize)?;
        let (signature, rest) = bytes.split_first_chunk::<8>()?;
        if signature != SIGNATURE {
            return None;
        }
        let (version, rest) = u32_le(rest)?;
        let (hash_type, rest) = u32_le(rest)?;
        let (uuid, rest) = rest.split_first_chunk::<16>()?;
        let (algorithm, rest) = rest.split_first_chunk::<ALGORITHM_LEN>()?;
        let (data_block_size, rest) = u32_le(rest)?;
        let (hash_block_size, rest) = u32_le(rest)?;
        let (data_blocks, rest) = rest.split_first_chunk::<8>()?;
        let (salt_len, rest) = rest.split_first_chunk::<2>()?;
        let (_padding, rest) = rest.split_first_chunk::<6>()?;
        let salt_len = usize::from(u16::from_le_bytes(*salt_len));
        let Some(salt) = rest.get(..salt_len.min(MAX_SALT_LEN)) else {
            return Some(Err(Error::SaltLength { len: salt_len }));
        };
        let name = algorithm.split(|byte| *byte == 0).next().unwrap_or_default();
        let check = || {
            if version != VERSION {
                return Err(Error::Version { version });
            }
            if hash_type != HASH_TYPE {
                return Err(Error::HashType { hash_type });
            }
            check_salt(salt_len)?;
            check_block_size(data_block_size)?;
            check_block_size(hash_block_size)?;
            let superblock = Superblock {
                uuid: Uuid::from_bytes(*uuid),
                algorithm: Algorithm::from_name(name).ok_or_else(|| Error::Algorithm {
                    name: String::from_utf8_lossy(name).into_owned(),
                })?,
                data_block_size,
                hash_block_size,
                data_blocks: u64::from_le_bytes(*data_blocks),
                salt: salt.to_vec(),
            };
            if superblock.data_blocks == 0 {
                return Err(Error::Empty);
            }
            if superblock.data_blocks > u64::MAX / u64::from(data_block_size) {
                return Err(Error::TooLarge {
                    blocks: superblock.data_blocks,
                });
            }
            Ok(superblock)
        };
        Some(check())
    }

    /// Encodes the superblock, 512 bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&HASH_TYPE.to_le_bytes());
        bytes.extend_from_slice(self.uuid.as_bytes());
        let name_end = bytes.len() + ALGORITHM_LEN;
        bytes.extend_from_slice(self.algorithm.name().as_bytes());
        bytes.resize(name_end, 0);
        bytes.extend_from_slice(&self.data_block_size.to_le_bytes());
        bytes.extend_from_slice(&self.hash_block_size.to_le_bytes());
        bytes.extend_from_slice(&self.data_blocks.to_le_bytes());
        bytes.extend_from_slice(&(self.salt.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&self.salt);
        bytes.resize(SUPERBLOCK_LEN as usize, 0);
        bytes
    }

    /// Returns the length of the data in bytes.
    pub fn data_len(&self) -> u64 {
        self.data_blocks.saturating_mul(self.data_block_size.into())
    }

    /// Returns the length of the hash area in bytes, from the superblock to the end of the tree.
    pub fn hash_area_len(&self) -> u64 {
        let start = geometry::tree_start(self.hash_block_size);
        geometry::levels(self).first().map_or(start, |level| level.end)
    }
}

fn u32_le(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock() -> Superblock {
        Superblock {
            uuid: Uuid::from_u128(7),
            algorithm: Algorithm::Sha512,
            data_block_size: 1024,
            hash_block_size: 512,
            data_blocks: 3,
            salt: vec![1; 256],
        }
    }

    #[test]
    fn encoded_superblocks_are_read() {
        let bytes = superblock().encode();
        assert_eq!(Superblock::parse(&bytes).unwrap(), superblock());
        assert!(matches!(Superblock::parse(&bytes[..511]), Err(Error::NoSuperblock)));
        assert!(matches!(Superblock::parse(&[0; 512]), Err(Error::NoSuperblock)));
    }

    #[test]
    fn unsupported_superblocks_are_refused() {
        let with = |offset: usize, value: &[u8]| {
            let mut bytes = superblock().encode();
            bytes[offset..offset + value.len()].copy_from_slice(value);
            Superblock::parse(&bytes).unwrap_err()
        };
        assert!(matches!(with(8, &[2]), Error::Version { version: 2 }));
        assert!(matches!(with(12, &[0]), Error::HashType { hash_type: 0 }));
        assert!(matches!(with(32, b"sha1\0"), Error::Algorithm { name } if name == "sha1"));
        assert!(matches!(with(64, &[0, 0]), Error::BlockSize { size: 0 }));
        assert!(matches!(with(68, &[1]), Error::BlockSize { size: 513 }));
        assert!(matches!(with(72, &[0]), Error::Empty));
        assert!(matches!(with(72, &[0xff; 8]), Error::TooLarge { .. }));
        assert!(matches!(with(80, &[1, 1]), Error::SaltLength { len: 257 }));
    }
}
