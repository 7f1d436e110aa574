//! Tables of entries of one length that are found by their number: fragments, users and groups,
//! inodes.
//!
//! ```text
//! metadata blocks with the entries, none across two blocks
//! u64  offset of a block in the filesystem; one for each block
//! ```

use crate::encoder::Encoder;
use crate::error::Error;
use crate::metadata::Metadata;

/// Encoded table, and the offset of its list of blocks in the filesystem, which the superblock has.
pub(crate) struct Table {
    pub(crate) bytes: Vec<u8>,
    pub(crate) list: u64,
}

/// Encodes a table for the offset `base` in bytes. The length of an entry divides that of a block.
pub(crate) fn table(
    entries: impl Iterator<Item = impl AsRef<[u8]>>,
    encoder: Encoder,
    base: u64,
) -> Result<Table, Error> {
    let mut blocks = Metadata::new(encoder);
    for entry in entries {
        blocks.push(entry.as_ref())?;
    }
    let (mut bytes, starts) = blocks.finish()?;
    let list = base + bytes.len() as u64;
    for start in starts {
        bytes.extend_from_slice(&(base + start).to_le_bytes());
    }
    Ok(Table { bytes, list })
}
