//! One xz stream of independent blocks (The .xz File Format 1.1.0), with the CRC-32 check:
//! Linux's decoder supports no other.

use std::io::{self, Write};
use std::num::NonZeroU64;

use extents::Extents;
use lzma_rust2::{CheckType, XzOptions, XzWriterMt};

/// Decompressed length of a block, in bytes: a few dictionaries of the default preset.
const BLOCK: u64 = 24 << 20;

/// Writes the compressed bytes.
pub fn write(
    plain: &Extents,
    level: u32,
    jobs: usize,
    out: &mut dyn Write,
    progress: super::ProgressFn<'_>,
) -> io::Result<()> {
    let mut options = XzOptions::with_preset(level);
    options.set_check_sum_type(CheckType::Crc32);
    options.set_block_size(NonZeroU64::new(BLOCK));
    let workers = u32::try_from(jobs.max(1)).unwrap_or(1);
    let mut encoder = XzWriterMt::new(out, options, workers)?;
    extents::emit::stream(plain, &mut super::Counted(&mut encoder, progress))?;
    encoder.finish().map(drop)
}
