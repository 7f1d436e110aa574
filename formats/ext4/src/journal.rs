//! The journal, which is empty but for its superblock (ext4, Journal (jbd2)).

use crate::error::Error;
use crate::options::Journal;
use crate::{BLOCK, MAX_JOURNAL_LEN, MIN_JOURNAL_LEN};

const MAGIC: u32 = 0xc03b_3998;
/// Type of a superblock of version 2.
const SUPERBLOCK_V2: u32 = 4;
/// Length of the superblock in bytes.
const SIZE: usize = 1024;

impl Journal {
    /// Returns the number of its blocks in a filesystem of `filesystem` blocks.
    pub(crate) fn blocks(self, filesystem: u64) -> Result<u64, Error> {
        match self {
            Journal::None => Ok(0),
            // The sizes of mke2fs, up to 128 MiB.
            Journal::Auto => Ok(match filesystem {
                0..32_768 => 1_024,
                32_768..262_144 => 4_096,
                262_144..524_288 => 8_192,
                524_288..4_194_304 => 16_384,
                _ => 32_768,
            }),
            Journal::Size(size) if !(MIN_JOURNAL_LEN..=MAX_JOURNAL_LEN).contains(&size) => Err(Error::Journal { size }),
            Journal::Size(size) => Ok(size.div_ceil(BLOCK)),
        }
    }
}

/// Encodes the superblock of a journal of `blocks` in big endian (ext4, Journal: Super Block).
pub fn superblock(blocks: u64) -> Vec<u8> {
    // After the header: block length, number of blocks, first block, first sequence number.
    let fields = [MAGIC, SUPERBLOCK_V2, 0, BLOCK as u32, blocks as u32, 1, 1];
    let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_be_bytes()).collect();
    // `s_nr_users`: one filesystem uses it.
    bytes.resize(0x40, 0);
    bytes.extend(1u32.to_be_bytes());
    bytes.resize(SIZE, 0);
    bytes
}
