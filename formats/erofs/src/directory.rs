//! Contents of directories (rst, "Directories").
//!
//! ```text
//! block   entry │ entry │ ... │ name │ name │ ...        entry   u64 inode  u16 offset of the name
//!                                                               u8 type    u8 0
//! ```
//!
//! Names are in bytewise order over all blocks, `.` and `..` among them. A block ends where the next
//! name does not fit, the last block with its last name.

use std::ops::Range;

use crate::BLOCK;
use crate::bytes::{put, put16, put64};

/// Length of an entry without its name, in bytes.
const ENTRY: usize = 12;

/// Name in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) name: &'a [u8],
    /// Number of the inode.
    pub(crate) nid: u64,
    /// File type (`EROFS_FT_*`).
    pub(crate) kind: u8,
}

/// Divides names into blocks; also returns the length of the last block.
fn blocks<'a>(names: impl Iterator<Item = &'a [u8]>) -> (Vec<Range<usize>>, usize) {
    let mut blocks = Vec::new();
    let (mut first, mut used, mut count) = (0, 0, 0);
    for name in names {
        let len = ENTRY + name.len();
        if used + len > BLOCK as usize {
            blocks.push(first..count);
            (first, used) = (count, 0);
        }
        used += len;
        count += 1;
    }
    blocks.push(first..count);
    (blocks, used)
}

/// Returns the length of a directory with these names in bytes.
pub(crate) fn len<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let (blocks, last) = blocks(names);
    (blocks.len() as u64).saturating_sub(1) * BLOCK + last as u64
}

/// Encodes a directory.
pub(crate) fn encode(names: &[Name<'_>]) -> Vec<u8> {
    let (blocks, last) = blocks(names.iter().map(|name| name.name));
    let mut bytes = Vec::with_capacity(blocks.len() * BLOCK as usize);
    for range in blocks {
        let start = bytes.len();
        bytes.resize(start + BLOCK as usize, 0);
        let (_, block) = bytes.split_at_mut(start);
        let names = names.get(range).unwrap_or_default();
        let mut name_at = names.len() * ENTRY;
        for (at, name) in (0..).step_by(ENTRY).zip(names) {
            put64(block, at, name.nid);
            // Within the block.
            put16(block, at + 8, name_at as u16);
            put(block, at + 10, &[name.kind]);
            put(block, name_at, name.name);
            name_at += name.name.len();
        }
    }
    bytes.truncate(bytes.len().saturating_sub(BLOCK as usize) + last);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_filled_to_its_last_byte() {
        // 16 names of 244 bytes and their entries are 4096 bytes.
        let names: Vec<Vec<u8>> = (b'a'..=b'q').map(|byte| vec![byte; 244]).collect();
        let len = |count: usize| len(names.iter().take(count).map(Vec::as_slice));
        assert_eq!((len(15), len(16), len(17)), (3840, 4096, 4096 + 256));
        let names: Vec<Name> = names.iter().map(|name| Name { name, nid: 7, kind: 1 }).collect();
        assert_eq!(encode(&names).len(), 4096 + 256);
        assert_eq!(encode(&names[..16]).len(), 4096);
    }
}
