//! Inode that reserves blocks for more group descriptors (ext4, Special inodes: 7).
//!
//! ```text
//! inode 7, i_block[13] ─▶ block of pointers ─▶ reserved block in group 0 ─▶ copies in groups 1, 3, 5 ...
//! ```
//!
//! The reserved blocks of group 0 are themselves lists of their copies in the other groups. The
//! position of a reserved block in a list is that of the block of descriptors it will become.

use crate::BLOCK;
use crate::bytes::put32;
use crate::geometry::{GROUP, Geometry};
use crate::inode::I_BLOCK;

/// Number of pointers in a block.
const POINTERS: u64 = BLOCK / 4;

/// Length of the file in bytes: the limit of single and double indirect blocks.
pub const LENGTH: u64 = (POINTERS * POINTERS + POINTERS + 12) * BLOCK;

/// Encodes `i_block` with a pointer to the block of pointers.
pub fn i_block(block: u64) -> [u8; I_BLOCK] {
    let mut bytes = [0; I_BLOCK];
    put32(&mut bytes, 13 * 4, block as u32);
    bytes
}

/// Returns the number of blocks of the inode: the block of pointers, and the reserved ones in all
/// groups.
pub fn blocks(geometry: &Geometry) -> u64 {
    1 + geometry.reserved * (1 + geometry.backups().count() as u64)
}

/// Encodes the block of pointers, and the reserved blocks of group 0 by number.
pub fn encode(geometry: &Geometry) -> (Vec<u8>, Vec<(u64, Vec<u8>)>) {
    let mut pointers = vec![0; BLOCK as usize];
    let mut lists = Vec::new();
    for reserved in 0..geometry.reserved {
        let at = geometry.descriptor_blocks + reserved;
        let block = 1 + at;
        put32(&mut pointers, (at % POINTERS * 4) as usize, block as u32);
        let copies = geometry.backups().map(|group| (group * GROUP + block) as u32);
        let list: Vec<u8> = copies.flat_map(u32::to_le_bytes).collect();
        if !list.is_empty() {
            lists.push((block, list));
        }
    }
    (pointers, lists)
}
