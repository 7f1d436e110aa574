//! Compressors, and their description in the filesystem.

use std::ops::RangeInclusive;

/// Compressor of blocks, with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// One zlib stream per block, at level 1 to 9.
    Gzip(u32),
    /// One zstd frame per block, at level 1 to 22.
    Zstd(u32),
    /// One xz stream per block, with CRC-32 and a dictionary of the block size, at preset 0 to 9.
    Xz(u32),
    /// One raw LZ4 block per block.
    Lz4,
}

impl Compressor {
    /// Gzip at the highest level, the default of mksquashfs.
    pub const GZIP: Compressor = Compressor::Gzip(9);
    /// Zstd at the level after which time grows faster than compression: half the time of level 16,
    /// for blocks that are 4 % larger.
    pub const ZSTD: Compressor = Compressor::Zstd(13);
    /// Xz at the default preset of the xz program.
    pub const XZ: Compressor = Compressor::Xz(6);

    /// Returns the usual name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Compressor::Gzip(_) => "gzip",
            Compressor::Zstd(_) => "zstd",
            Compressor::Xz(_) => "xz",
            Compressor::Lz4 => "lz4",
        }
    }

    /// Returns the level, if the compressor has levels.
    pub fn level(self) -> Option<u32> {
        match self {
            Compressor::Gzip(level) | Compressor::Zstd(level) | Compressor::Xz(level) => Some(level),
            Compressor::Lz4 => None,
        }
    }

    /// Returns the levels of the compressor.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Compressor::Gzip(_) => 1..=9,
            Compressor::Zstd(_) => zstd::LEVELS,
            Compressor::Xz(_) => 0..=9,
            Compressor::Lz4 => 0..=0,
        }
    }

    /// Returns the number in the superblock (`ZLIB_COMPRESSION` and so on).
    pub(crate) fn id(self) -> u16 {
        match self {
            Compressor::Gzip(_) => 1,
            Compressor::Xz(_) => 4,
            Compressor::Lz4 => 5,
            Compressor::Zstd(_) => 6,
        }
    }

    /// Encodes the options after the superblock. Linux requires those of LZ4 (`struct lz4_comp_opts`);
    /// the others are for programs that append to the filesystem.
    pub(crate) fn options(self) -> Option<Vec<u8>> {
        match self {
            // Level, bits of the window, strategies: the defaults of zlib.
            Compressor::Gzip(level) if level != 9 => {
                let mut bytes = level.to_le_bytes().to_vec();
                bytes.extend_from_slice(&15u16.to_le_bytes());
                bytes.extend_from_slice(&0u16.to_le_bytes());
                Some(bytes)
            }
            Compressor::Zstd(level) if level != 15 => Some(level.to_le_bytes().to_vec()),
            // LZ4_LEGACY, and no flags.
            Compressor::Lz4 => Some(vec![1, 0, 0, 0, 0, 0, 0, 0]),
            // Without options: gzip 9, zstd 15, an xz dictionary of the block size.
            Compressor::Gzip(_) | Compressor::Zstd(_) | Compressor::Xz(_) => None,
        }
    }
}
