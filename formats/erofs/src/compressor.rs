//! Compressors of file contents.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use crate::bytes::put16;

/// Compressor of file contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// Contents are stored as they are.
    None,
    /// Contents are raw LZ4 blocks, which Linux reads since 5.13.
    Lz4,
}

impl Compressor {
    /// Returns the usual name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Compressor::None => "none",
            Compressor::Lz4 => "lz4",
        }
    }

    /// Returns the number of the algorithm (`Z_EROFS_COMPRESSION_LZ4`).
    pub(crate) fn algorithm(self) -> u8 {
        0
    }

    /// Encodes the configuration after the superblock (`struct z_erofs_lz4_cfgs`).
    pub(crate) fn configuration(self, max_blocks: u16) -> Vec<u8> {
        let mut bytes = vec![0; 14];
        put16(&mut bytes, 0, LZ4_DISTANCE);
        put16(&mut bytes, 2, max_blocks);
        bytes
    }
}

/// Maximum distance of LZ4 matches in bytes.
const LZ4_DISTANCE: u16 = u16::MAX;

/// Reusable encoder. The result does not depend on earlier pieces.
pub(crate) struct Encoder {
    table: CompressTable,
    out: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Encoder {
            // A small table would be replaced by a large one at the first large piece, which would
            // change the result for later pieces.
            table: CompressTable::large(),
            out: Vec::new(),
        }
    }

    /// Compresses a piece to less than `limit` bytes; returns `None` if it does not fit.
    pub(crate) fn compress(&mut self, plain: &[u8], limit: usize) -> Option<&[u8]> {
        self.out.resize(get_maximum_output_size(plain.len()), 0);
        let len = compress_into_with_table(plain, &mut self.out, &mut self.table).ok()?;
        self.out.get(..len).filter(|bytes| bytes.len() < limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_pieces_change_nothing() {
        let text: Vec<u8> = (0..131_072usize).map(|i| (i / 7 % 61 * (i >> 9)) as u8).collect();
        let mut used = Encoder::new();
        for len in [131_072, 5000, 131_072, 70_000, 4097, 131_072] {
            let fresh = Encoder::new().compress(&text[..len], len).map(<[u8]>::to_vec);
            assert!(fresh.is_some());
            assert!(used.compress(&text[..len], len) == fresh.as_deref());
        }
    }
}
