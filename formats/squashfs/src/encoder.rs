//! Encoders of the compressors.

use std::io::{self, Write};

use deflate::Deflate;
use lz4_flex::block::CompressTable;
use lzma_rust2::{CheckType, XzOptions, XzWriter};
use zstd::Frames;

use crate::METADATA_BLOCK;
use crate::compressor::Compressor;
use crate::error::Error;

/// Reusable encoder. The result does not depend on earlier blocks.
pub(crate) struct Encoder {
    compressor: Compressor,
    engine: Engine,
    out: Vec<u8>,
}

enum Engine {
    Zlib(Deflate),
    Zstd(Frames),
    Xz(Box<XzOptions>),
    Lz4(Box<CompressTable>),
}

impl Encoder {
    /// Creates an encoder of blocks of at most `block_size` bytes and of metadata.
    pub(crate) fn new(compressor: Compressor, block_size: u32) -> Self {
        let engine = match compressor {
            Compressor::Gzip(level) => Engine::Zlib(Deflate::zlib(level)),
            Compressor::Zstd(level) => Engine::Zstd(Frames::new(level)),
            Compressor::Xz(level) => {
                let mut options = XzOptions::with_preset(level);
                // Linux allocates this much and refuses more (fs/squashfs/xz_wrapper.c).
                options.lzma_options.dict_size = block_size.max(METADATA_BLOCK as u32);
                options.set_check_sum_type(CheckType::Crc32);
                Engine::Xz(Box::new(options))
            }
            // A small table would be replaced by a large one at the first large block, which would
            // change the result for later blocks.
            Compressor::Lz4 => Engine::Lz4(Box::new(CompressTable::large())),
        };
        Encoder {
            compressor,
            engine,
            out: Vec::new(),
        }
    }

    /// Compresses a block; returns `None` if that does not shorten it.
    pub(crate) fn compress(&mut self, plain: &[u8]) -> Result<Option<&[u8]>, Error> {
        self.out.clear();
        let complete = match &mut self.engine {
            Engine::Zlib(deflate) => Ok(deflate.compress(plain, plain.len(), &mut self.out)),
            Engine::Zstd(frames) => {
                frames.compress(plain, &mut self.out);
                Ok(true)
            }
            Engine::Xz(options) => xz(options, plain, &mut self.out),
            Engine::Lz4(table) => lz4(table, plain, &mut self.out),
        };
        let complete = complete.map_err(|source| Error::Compress {
            compressor: self.compressor,
            source,
        })?;
        Ok((complete && self.out.len() < plain.len()).then_some(self.out.as_slice()))
    }
}

fn xz(options: &XzOptions, plain: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
    let mut writer = XzWriter::new(out, options.clone())?;
    writer.write_all(plain)?;
    writer.finish()?;
    Ok(true)
}

fn lz4(table: &mut CompressTable, plain: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
    out.resize(lz4_flex::block::get_maximum_output_size(plain.len()), 0);
    let len = lz4_flex::block::compress_into_with_table(plain, out, table).map_err(io::Error::other)?;
    out.truncate(len);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(block_size: u32) -> Vec<Vec<u8>> {
        let size = block_size as usize;
        let text: Vec<u8> = (0..size).map(|i| (i / 7 % 61 * (i >> 9)) as u8).collect();
        let mut state = 1u32;
        let noise = (0..size).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let short = |len: usize| text.iter().take(len).copied().collect::<Vec<u8>>();
        vec![
            text.clone(),
            noise.collect(),
            vec![0; size],
            short(100),
            short(8192),
            short(3),
            text,
        ]
    }

    #[test]
    fn earlier_blocks_change_nothing() {
        for level in [1, 3, 9, 15, 16, 19] {
            for compressor in [
                Compressor::Gzip(level.min(9)),
                Compressor::Zstd(level),
                Compressor::Xz(1),
                Compressor::Lz4,
            ] {
                let mut used = Encoder::new(compressor, 128 << 10);
                for sample in samples(128 << 10) {
                    let fresh = Encoder::new(compressor, 128 << 10)
                        .compress(&sample)
                        .unwrap()
                        .map(<[u8]>::to_vec);
                    assert!(used.compress(&sample).unwrap() == fresh.as_deref(), "{compressor:?}");
                    assert!(fresh.is_none_or(|bytes| bytes.len() < sample.len()));
                }
            }
        }
    }

    /// Linux gives the decoder a window of the block size, or 8 KiB, and refuses larger ones.
    #[test]
    fn windows_are_at_most_the_block_size() {
        for block_size in [4 << 10, 128 << 10, 256 << 10] {
            let max_window = u64::from(block_size).max(METADATA_BLOCK as u64);
            for sample in samples(block_size) {
                for level in [1, 4, 9, 13, 16, 19, 22] {
                    let mut encoder = Encoder::new(Compressor::Zstd(level), block_size);
                    let Some(frame) = encoder.compress(&sample).unwrap() else {
                        continue;
                    };
                    // RFC 8878, 3.1.1.1: with a single segment the window is the content.
                    let (flags, window) = (frame[4], frame[5]);
                    let base = 1u64 << (10 + (window >> 3));
                    let window = base + base / 8 * u64::from(window & 7);
                    assert!(
                        flags & 0x20 != 0 || window <= max_window,
                        "{block_size} {level} {window}"
                    );
                    assert_eq!(flags & 4, 0, "no checksum");
                }
                let mut encoder = Encoder::new(Compressor::Xz(6), block_size);
                let Some(stream) = encoder.compress(&sample).unwrap() else {
                    continue;
                };
                // The .xz File Format, 2.1.1 and 3.1: CRC-32; one filter, LZMA2, with its dictionary.
                assert_eq!(stream[7], 1);
                assert_eq!(&stream[13..16], [0, 0x21, 1]);
                let bits = u64::from(stream[16]);
                assert!((2 | (bits & 1)) << (bits / 2 + 11) <= max_window, "{block_size} {bits}");
            }
        }
    }
}
