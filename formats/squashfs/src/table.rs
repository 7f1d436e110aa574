//! Tables of equal entries that are found by their number: fragments, users and groups, inodes.
//!
//! ```text
//! metadata blocks with the entries, none across two blocks
//! u64  where a block begins, from the start of the filesystem; one for each block
//! ```

use crate::Error;
use crate::compressor::Encoder;
use crate::metadata::Metadata;

/// A table whole: its bytes, and where in it the list of blocks stands, which is what the
/// superblock has.
pub(crate) struct Table {
    pub(crate) bytes: Vec<u8>,
    pub(crate) list: u64,
}

/// Makes a table that is to stand at `base` bytes. The length of an entry divides that of a block.
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
