//! How contents are compressed.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use crate::bytes::put16;

/// A compressor that Linux can undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// None: contents stand as they are.
    None,
    /// Raw LZ4 blocks, as Linux reads them since 5.13.
    Lz4,
}

impl Compressor {
    /// As it is called everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Compressor::None => "none",
            Compressor::Lz4 => "lz4",
        }
    }

    /// Its number (`Z_EROFS_COMPRESSION_LZ4`).
    pub(crate) fn algorithm(self) -> u8 {
        0
    }

    /// What stands behind the superblock for it (`struct z_erofs_lz4_cfgs`).
    pub(crate) fn options(self, most_blocks: u16) -> Vec<u8> {
        let mut options = vec![0; 14];
        put16(&mut options, 0, LZ4_DISTANCE);
        put16(&mut options, 2, most_blocks);
        options
    }
}

/// How far back LZ4 refers at most, in bytes.
const LZ4_DISTANCE: u16 = u16::MAX;

/// Compresses one piece after another; what came before changes nothing.
pub(crate) struct Encoder {
    table: CompressTable,
    out: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Encoder {
            // A small table would be exchanged for a large one by the first large piece, and pieces
            // after it would come out differently.
            table: CompressTable::large(),
            out: Vec::new(),
        }
    }

    /// A piece compressed, in less than `most` bytes; or nothing.
    pub(crate) fn compress(&mut self, plain: &[u8], most: usize) -> Option<&[u8]> {
        self.out.resize(get_maximum_output_size(plain.len()), 0);
        let len = compress_into_with_table(plain, &mut self.out, &mut self.table).ok()?;
        self.out.get(..len).filter(|bytes| bytes.len() < most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_changes_nothing() {
        let text: Vec<u8> = (0..131_072usize).map(|i| (i / 7 % 61 * (i >> 9)) as u8).collect();
        let mut used = Encoder::new();
        for len in [131_072, 5000, 131_072, 70_000, 4097, 131_072] {
            let fresh = Encoder::new().compress(&text[..len], len).map(<[u8]>::to_vec);
            assert!(fresh.is_some());
            assert!(used.compress(&text[..len], len) == fresh.as_deref());
        }
    }
}
