//! The journal (ext4, Journal (jbd2)): empty, so only its superblock says anything.

use crate::{BLOCK, Error, Journal, LARGEST_JOURNAL, SMALLEST_JOURNAL};

const MAGIC: u32 = 0xc03b_3998;
/// A superblock of version 2.
const SUPERBLOCK_V2: u32 = 4;
/// The length of the superblock.
const SIZE: usize = 1024;

impl Journal {
    /// How many blocks it has in a filesystem of so many.
    pub(crate) fn blocks(self, filesystem: u64) -> Result<u64, Error> {
        match self {
            Journal::None => Ok(0),
            // As mke2fs has it, up to 128 MiB.
            Journal::Auto => Ok(match filesystem {
                0..32_768 => 1_024,
                32_768..262_144 => 4_096,
                262_144..524_288 => 8_192,
                524_288..4_194_304 => 16_384,
                _ => 32_768,
            }),
            Journal::Size(size) if !(SMALLEST_JOURNAL..=LARGEST_JOURNAL).contains(&size) => {
                Err(Error::Journal { size })
            }
            Journal::Size(size) => Ok(size.div_ceil(BLOCK)),
        }
    }
}

/// The superblock of a journal of so many blocks (ext4, Journal: Super Block). All is big-endian.
pub fn superblock(blocks: u64) -> Vec<u8> {
    // The length of a block, how many, the first behind this, the first sequence number.
    let fields = [MAGIC, SUPERBLOCK_V2, 0, BLOCK as u32, blocks as u32, 1, 1];
    let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_be_bytes()).collect();
    // `s_nr_users`: one filesystem uses it.
    bytes.resize(0x40, 0);
    bytes.extend(1u32.to_be_bytes());
    bytes.resize(SIZE, 0);
    bytes
}
