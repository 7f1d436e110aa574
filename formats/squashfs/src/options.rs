//! What the caller decides.

use std::path::PathBuf;

use tree::Time;

use crate::{Compressor, Error, LARGEST_BLOCK, SMALLEST_BLOCK};

/// What a filesystem is to be like besides the files.
#[derive(Clone, Debug)]
pub struct Options {
    /// How blocks are compressed.
    pub compressor: Compressor,
    /// The size of a data block in bytes: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// How many threads compress.
    pub jobs: usize,
    /// When the filesystem was made. The files have their own times.
    pub time: Time,
    /// The folder for the file without a name in which compressed blocks are kept.
    pub folder: PathBuf,
}

impl Options {
    /// Gzip, blocks of 128 KiB, one thread, made at the start of the epoch.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Options {
            compressor: Compressor::GZIP,
            block_size: 128 << 10,
            jobs: 1,
            time: Time::default(),
            folder: folder.into(),
        }
    }

    /// Refuses sizes and levels that do not exist.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let size = self.block_size;
        if !size.is_power_of_two() || !(SMALLEST_BLOCK..=LARGEST_BLOCK).contains(&size) {
            return Err(Error::BlockSize { size });
        }
        match self.compressor.level() {
            Some(level) if !self.compressor.levels().contains(&level) => Err(Error::Level {
                compressor: self.compressor,
                level,
            }),
            _ => Ok(()),
        }
    }
}

/// A time as squashfs has it: whole seconds from 1970 to 2106; what lies outside is cut.
pub(crate) fn seconds(time: Time) -> u32 {
    u32::try_from(time.seconds.max(0)).unwrap_or(u32::MAX)
}
