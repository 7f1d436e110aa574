//! Choices of the caller.

use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Options of an image. The default is an image without compression.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Compressor of clusters; `None` leaves them as they are.
    pub compressor: Option<Compressor>,
    /// Number of threads that compress.
    pub jobs: usize,
    /// Directory of the temporary file with compressed clusters.
    pub temp_dir: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            compressor: None,
            jobs: 1,
            temp_dir: std::env::temp_dir(),
        }
    }
}

/// A compressor that QEMU reads, with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// Raw deflate, level 1 to 9.
    Zlib(u32),
    /// One zstd frame per cluster, level 1 to 22. Needs QEMU 5.1.
    Zstd(u32),
}

impl Compressor {
    /// Returns the name that QEMU gives it.
    pub fn name(self) -> &'static str {
        match self {
            Compressor::Zlib(_) => "zlib",
            Compressor::Zstd(_) => "zstd",
        }
    }

    /// Returns the range of its levels.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Compressor::Zlib(_) => 1..=9,
            Compressor::Zstd(_) => zstd::LEVELS,
        }
    }

    /// Returns its level.
    pub fn level(self) -> u32 {
        match self {
            Compressor::Zlib(level) | Compressor::Zstd(level) => level,
        }
    }

    /// Returns the number in the header ("compression_type").
    pub(crate) fn header_number(self) -> u8 {
        match self {
            Compressor::Zlib(_) => 0,
            Compressor::Zstd(_) => 1,
        }
    }
}
