//! Map of the blocks of a file (ext4, Extent Tree).
//!
//! ```text
//! inode   header │ extent │ extent │ extent │ extent
//!
//! inode   header │ index ──────────────┐ up to 4
//! block                                header │ index ───────────┐ up to 340
//! block                                                          header │ extent │ ...   up to 340
//! ```

use crate::BLOCK;
use crate::allocator::Run;
use crate::bytes::{put, put16, put32};
use crate::checksum::Checksum;
use crate::inode::I_BLOCK;

/// Maximum number of blocks of an extent (`ee_len`).
pub const MAX_EXTENT_BLOCKS: u64 = 1 << 15;
const MAGIC: u16 = 0xf30a;
/// Length of the header and of each entry in bytes.
const ENTRY: usize = 12;
/// Limits of entries in the inode, and in a block, which ends with a checksum of 4 bytes.
const IN_INODE: usize = I_BLOCK / ENTRY - 1;
const IN_BLOCK: usize = BLOCK as usize / ENTRY - 1;

/// Returns the number of blocks of the tree for a number of runs.
pub fn blocks(runs: usize) -> u64 {
    let (mut entries, mut blocks) = (runs, 0);
    while entries > IN_INODE {
        entries = entries.div_ceil(IN_BLOCK);
        blocks += entries as u64;
    }
    blocks
}

/// Encodes the root in the inode, and the blocks of the tree by number. `free` has the numbers of
/// the blocks for it, as many as [`blocks`] returns.
pub fn encode(
    runs: &[Run],
    free: impl IntoIterator<Item = u64>,
    checksum: Option<Checksum>,
) -> ([u8; I_BLOCK], Vec<(u64, Vec<u8>)>) {
    let mut free = free.into_iter();
    let mut entries: Vec<(u64, [u8; ENTRY])> = runs.iter().map(|run| (run.logical, extent(run))).collect();
    let mut blocks = Vec::new();
    let mut depth = 0;
    while entries.len() > IN_INODE {
        let mut upper = Vec::new();
        for (entries, number) in entries.chunks(IN_BLOCK).zip(&mut free) {
            let mut block = vec![0; BLOCK as usize];
            node(&mut block, entries, IN_BLOCK, depth);
            if let Some(checksum) = checksum {
                let tail = (1 + IN_BLOCK) * ENTRY;
                let sum = checksum.then(block.get(..tail).unwrap_or_default());
                put32(&mut block, tail, sum.value());
            }
            blocks.push((number, block));
            let first = entries.first().map_or(0, |entry| entry.0);
            upper.push((first, index(first, number)));
        }
        entries = upper;
        depth += 1;
    }
    let mut root = [0; I_BLOCK];
    node(&mut root, &entries, IN_INODE, depth);
    (root, blocks)
}

fn node(bytes: &mut [u8], entries: &[(u64, [u8; ENTRY])], max: usize, depth: u16) {
    put16(bytes, 0, MAGIC);
    put16(bytes, 2, entries.len() as u16);
    put16(bytes, 4, max as u16);
    put16(bytes, 6, depth);
    for (at, (_, entry)) in entries.iter().enumerate() {
        put(bytes, (1 + at) * ENTRY, entry);
    }
}

fn extent(run: &Run) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put32(&mut entry, 0, run.logical as u32);
    put16(&mut entry, 4, run.count as u16);
    put16(&mut entry, 6, (run.first >> 32) as u16);
    put32(&mut entry, 8, run.first as u32);
    entry
}

fn index(logical: u64, block: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put32(&mut entry, 0, logical as u32);
    put32(&mut entry, 4, block as u32);
    put16(&mut entry, 8, (block >> 32) as u16);
    entry
}
