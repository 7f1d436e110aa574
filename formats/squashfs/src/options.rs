//! Options of the filesystem.

use std::path::PathBuf;

use tree::Time;

use crate::compressor::Compressor;
use crate::error::Error;
use crate::{MAX_BLOCK_SIZE, MIN_BLOCK_SIZE};

/// Options of [`plan`](crate::plan). Start with the default and assign fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Compressor of blocks.
    pub compressor: Compressor,
    /// Size of a data block in bytes: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// Number of threads that compress, at least 1.
    pub jobs: usize,
    /// Time of creation. Files have their own times.
    pub time: Time,
    /// Directory of the unnamed file that holds compressed blocks.
    pub temp_dir: PathBuf,
}

impl Default for Options {
    /// Options with gzip, blocks of 128 KiB, one thread and the temporary directory of the system.
    fn default() -> Self {
        Options {
            compressor: Compressor::GZIP,
            block_size: 128 << 10,
            jobs: 1,
            time: Time::default(),
            temp_dir: std::env::temp_dir(),
        }
    }
}

impl Options {
    /// Refuses sizes and levels that do not exist.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let size = self.block_size;
        if !size.is_power_of_two() || !(MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE).contains(&size) {
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

/// Converts a time to seconds from 1970 to 2106; times outside become the nearest.
pub(crate) fn seconds(time: Time) -> u32 {
    u32::try_from(time.seconds.max(0)).unwrap_or(u32::MAX)
}
