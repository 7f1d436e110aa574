//! Index of a compressed file (`struct z_erofs_map_header`, `struct z_erofs_vle_decompressed_index`).
//!
//! ```text
//! header, 8 bytes │ zeros, 8 bytes │ entry │ entry │ ...       an entry for each 4096 plain bytes
//!
//! 1st of a piece   u16 head      u16 0    u32 block
//! 2nd              u16 not head  u16 0    u16 number of blocks, marked  u16 entries to the next piece
//! others           u16 not head  u16 0    u16 entries since the head    u16 entries to the next piece
//! last of all      u16 plain     u16 end of the piece in this block   u32 0
//! ```
//!
//! A block that is not compressed has a plain entry with its number. The last entry is like the
//! others if the file ends at the end of a block.

use crate::BLOCK;
use crate::bytes::{put16, put32};
use crate::piece::{PIECE, Piece};

/// Lengths of an entry, and of everything before the first entry
/// (`Z_EROFS_VLE_LEGACY_HEADER_PADDING`), in bytes.
const ENTRY: usize = 8;
const HEADER: usize = 16;
/// Alignment of the index in bytes.
pub(crate) const ALIGN: u64 = 8;
/// Flag of indices whose pieces can have several blocks (`Z_EROFS_ADVISE_BIG_PCLUSTER_1`).
const ADVISE: u16 = 2;
/// Types of entries (`Z_EROFS_VLE_CLUSTER_TYPE_*`).
const PLAIN: u16 = 0;
const HEAD: u16 = 1;
const NOT_HEAD: u16 = 2;
/// Mark of a number of blocks (`Z_EROFS_VLE_DI_D0_CBLKCNT`).
const BLOCKS: u16 = 1 << 11;

/// Returns the length of the index of a file with `size` bytes.
pub(crate) fn len(size: u64) -> u64 {
    HEADER as u64 + size.div_ceil(BLOCK) * ENTRY as u64
}

/// Encodes the index of a file; the contents begin at block `base`.
pub(crate) fn encode(size: u64, pieces: &[Piece], base: u64, algorithm: u8) -> Vec<u8> {
    let mut index = vec![0; HEADER];
    put16(&mut index, 4, ADVISE);
    // The algorithm is in the lower four bits; the block size is 0 for 4096.
    index[6] = algorithm;
    for (start, piece) in (0..).step_by(PIECE as usize).zip(pieces) {
        let len = PIECE.min(size - start);
        // At most 32.
        let count = len.div_ceil(BLOCK) as u16;
        // Block numbers were checked to have 32 bits.
        let block = (base + piece.start) as u32;
        for at in 0..count {
            let end = (len % BLOCK) as u16;
            let entry = if piece.blocks == 0 {
                entry(PLAIN, 0, block + u32::from(at))
            } else if at == 0 {
                entry(HEAD, 0, block)
            } else if at + 1 == count && end > 0 {
                entry(PLAIN, end, 0)
            } else {
                let back = if at == 1 { piece.blocks | BLOCKS } else { at };
                entry(NOT_HEAD, 0, u32::from(back) | u32::from(count - at) << 16)
            };
            index.extend_from_slice(&entry);
        }
    }
    index
}

fn entry(kind: u16, within: u16, place: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put16(&mut entry, 0, kind);
    put16(&mut entry, 2, within);
    put32(&mut entry, 4, place);
    entry
}
