//! How blocks are compressed, and what the filesystem says of it.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use deflate::Deflate;
use lz4_flex::block::CompressTable;
use lzma_rust2::{CheckType, XzOptions, XzWriter};
use zstd::Frames;

use crate::Error;
use crate::metadata;

/// A compressor that Linux can undo, and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// A zlib stream a block; level 1 to 9.
    Gzip(u32),
    /// A zstd frame a block; level 1 to 22.
    Zstd(u32),
    /// An xz stream a block, with the CRC-32 check and a dictionary of the size of a block; preset 0 to 9.
    Xz(u32),
    /// A raw LZ4 block a block.
    Lz4,
}

impl Compressor {
    /// Gzip at its smallest, as everybody makes it.
    pub const GZIP: Compressor = Compressor::Gzip(9);
    /// Zstd where more time begins to give little: half the time of level 16, for blocks that are
    /// four hundredths larger.
    pub const ZSTD: Compressor = Compressor::Zstd(13);
    /// Xz as everybody knows it.
    pub const XZ: Compressor = Compressor::Xz(6);

    /// As it is called everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Compressor::Gzip(_) => "gzip",
            Compressor::Zstd(_) => "zstd",
            Compressor::Xz(_) => "xz",
            Compressor::Lz4 => "lz4",
        }
    }

    /// How hard it tries, where that can be said.
    pub fn level(self) -> Option<u32> {
        match self {
            Compressor::Gzip(level) | Compressor::Zstd(level) | Compressor::Xz(level) => Some(level),
            Compressor::Lz4 => None,
        }
    }

    /// The levels that there are.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Compressor::Gzip(_) => 1..=9,
            Compressor::Zstd(_) => zstd::LEVELS,
            Compressor::Xz(_) => 0..=9,
            Compressor::Lz4 => 0..=0,
        }
    }

    /// The number in the superblock (`ZLIB_COMPRESSION` and its neighbours).
    pub(crate) fn id(self) -> u16 {
        match self {
            Compressor::Gzip(_) => 1,
            Compressor::Xz(_) => 4,
            Compressor::Lz4 => 5,
            Compressor::Zstd(_) => 6,
        }
    }

    /// The options behind the superblock. Linux needs those of LZ4 (`struct lz4_comp_opts`); the
    /// others tell a program that adds to the filesystem how to go on.
    pub(crate) fn options(self) -> Option<Vec<u8>> {
        match self {
            // Level, bits of the window, strategies: those of zlib's default.
            Compressor::Gzip(level) if level != 9 => {
                let mut bytes = level.to_le_bytes().to_vec();
                bytes.extend_from_slice(&15u16.to_le_bytes());
                bytes.extend_from_slice(&0u16.to_le_bytes());
                Some(bytes)
            }
            Compressor::Zstd(level) if level != 15 => Some(level.to_le_bytes().to_vec()),
            // LZ4_LEGACY, and no flags.
            Compressor::Lz4 => Some(vec![1, 0, 0, 0, 0, 0, 0, 0]),
            // What is said by saying nothing: gzip 9, zstd 15, an xz dictionary as long as a block.
            Compressor::Gzip(_) | Compressor::Zstd(_) | Compressor::Xz(_) => None,
        }
    }

    /// An encoder for blocks of at most `block_size` bytes and for metadata.
    pub(crate) fn encoder(self, block_size: u32) -> Encoder {
        let engine = match self {
            Compressor::Gzip(level) => Engine::Zlib(Deflate::zlib(level)),
            Compressor::Zstd(level) => Engine::Zstd(Frames::new(level)),
            Compressor::Xz(level) => {
                let mut options = XzOptions::with_preset(level);
                // Linux allocates this much and refuses more (fs/squashfs/xz_wrapper.c).
                options.lzma_options.dict_size = block_size.max(metadata::BLOCK as u32);
                options.set_check_sum_type(CheckType::Crc32);
                Engine::Xz(Box::new(options))
            }
            // A small table would be exchanged for a large one by the first large block, and
            // blocks after it would come out differently.
            Compressor::Lz4 => Engine::Lz4(Box::new(CompressTable::large())),
        };
        Encoder {
            compressor: self,
            engine,
            out: Vec::new(),
        }
    }
}

/// Compresses one block after another; what came before changes nothing.
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
    /// The block made smaller, or nothing when it would not become smaller.
    pub(crate) fn compress(&mut self, plain: &[u8]) -> Result<Option<&[u8]>, Error> {
        self.out.clear();
        let done = match &mut self.engine {
            Engine::Zlib(deflate) => Ok(deflate.compress(plain, plain.len(), &mut self.out)),
            Engine::Zstd(frames) => {
                frames.compress(plain, &mut self.out);
                Ok(true)
            }
            Engine::Xz(options) => xz(options, plain, &mut self.out),
            Engine::Lz4(table) => lz4(table, plain, &mut self.out),
        };
        let done = done.map_err(|source| Error::Compress {
            compressor: self.compressor,
            source,
        })?;
        Ok((done && self.out.len() < plain.len()).then_some(self.out.as_slice()))
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
    fn what_came_before_changes_nothing() {
        for level in [1, 3, 9, 15, 16, 19] {
            for compressor in [
                Compressor::Gzip(level.min(9)),
                Compressor::Zstd(level),
                Compressor::Xz(1),
                Compressor::Lz4,
            ] {
                let mut used = compressor.encoder(128 << 10);
                for sample in samples(128 << 10) {
                    let fresh = compressor
                        .encoder(128 << 10)
                        .compress(&sample)
                        .unwrap()
                        .map(<[u8]>::to_vec);
                    assert!(used.compress(&sample).unwrap() == fresh.as_deref(), "{compressor:?}");
                    assert!(fresh.is_none_or(|bytes| bytes.len() < sample.len()));
                }
            }
        }
    }

    /// Linux gives the decoder a window as long as a block, or 8 KiB, and refuses larger ones.
    #[test]
    fn windows_are_no_longer_than_blocks() {
        for block_size in [4 << 10, 128 << 10, 256 << 10] {
            let most = u64::from(block_size).max(metadata::BLOCK as u64);
            for sample in samples(block_size) {
                for level in [1, 4, 9, 13, 16, 19, 22] {
                    let mut encoder = Compressor::Zstd(level).encoder(block_size);
                    let Some(frame) = encoder.compress(&sample).unwrap() else {
                        continue;
                    };
                    // RFC 8878, 3.1.1.1: with a single segment the window is the content.
                    let (flags, window) = (frame[4], frame[5]);
                    let base = 1u64 << (10 + (window >> 3));
                    let window = base + base / 8 * u64::from(window & 7);
                    assert!(flags & 0x20 != 0 || window <= most, "{block_size} {level} {window}");
                    assert_eq!(flags & 4, 0, "no checksum");
                }
                let mut encoder = Compressor::Xz(6).encoder(block_size);
                let Some(stream) = encoder.compress(&sample).unwrap() else {
                    continue;
                };
                // The .xz File Format, 2.1.1 and 3.1: CRC-32; one filter, LZMA2, with its dictionary.
                assert_eq!(stream[7], 1);
                assert_eq!(&stream[13..16], [0, 0x21, 1]);
                let bits = u64::from(stream[16]);
                assert!((2 | (bits & 1)) << (bits / 2 + 11) <= most, "{block_size} {bits}");
            }
        }
    }
}
