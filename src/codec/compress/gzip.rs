//! One gzip member (RFC 1952), compressed in pieces by several threads, as pigz does: the dictionary of a
//! piece is the plain data before it.
//!
//! ```text
//! header 10 B | block 0 ... sync | block 1 ... sync | ... | final empty block | CRC-32 | length
//! ```
//!
//! Each piece ends with a sync flush, an empty stored block that is aligned to a byte (RFC 1951,
//! section 3.2.4), so that pieces can be concatenated.

use std::io::{self, Write};

use extents::Extents;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Length of a piece, in bytes. Smaller pieces compress worse.
const PIECE: u64 = 1 << 20;
/// Default level of a piece, and of a piece that compresses well, where effort saves the most bytes per
/// second. An initrd is 0.7 % larger than at level 4, in 10 % less time.
const LEVELS: (u32, u32) = (3, 5);
/// Length of the sample that decides the level of a piece, in bytes.
const FIRST: usize = 256 << 10;
/// Ratio from which a sample compresses well.
const WELL: usize = 4;
/// Maximum distance of a match, in bytes (RFC 1951, section 2).
const WINDOW: u64 = 32 << 10;
/// Magic, method deflate, no flags, no time, no extra flags, operating system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Final block: fixed codes, end of block only.
const FINAL: [u8; 2] = [3, 0];

/// Writes the compressed bytes.
pub fn write(
    plain: &Extents,
    level: Option<u32>,
    jobs: usize,
    out: &mut dyn Write,
    progress: super::ProgressFn<'_>,
) -> io::Result<()> {
    let mut left = plain.len();
    let count = plain.len().div_ceil(PIECE);
    out.write_all(&HEADER)?;
    let mut sum = crc32fast::Hasher::new();
    ordered::map(
        0..count,
        jobs,
        Vec::new,
        |buffer, index| deflate(plain, index, level, buffer),
        |(bytes, piece)| {
            sum.combine(&piece);
            progress(PIECE.min(left));
            left = left.saturating_sub(PIECE);
            out.write_all(&bytes)
        },
    )?;
    out.write_all(&FINAL)?;
    out.write_all(&sum.finalize().to_le_bytes())?;
    // The length is stored modulo 2^32.
    out.write_all(&(plain.len() as u32).to_le_bytes())
}

/// Compresses a piece to deflate blocks without a final one, and computes the checksum of its content.
fn deflate(
    plain: &Extents,
    index: u64,
    level: Option<u32>,
    buffer: &mut Vec<u8>,
) -> io::Result<(Vec<u8>, crc32fast::Hasher)> {
    let start = index * PIECE;
    let window = start.min(WINDOW);
    let len = PIECE.min(plain.len() - start);
    buffer.resize((window + len) as usize, 0);
    plain.read_exact_at(buffer, start - window)?;
    let (before, bytes) = buffer.split_at(window as usize);
    let mut sum = crc32fast::Hasher::new();
    sum.update(bytes);
    // A new compressor for each piece: after a reset, zlib-rs 0.6 still sees bytes of the piece before
    // when a dictionary is set.
    let mut compressor = Compress::new(Compression::new(level.unwrap_or(LEVELS.0)), false);
    compressor.set_dictionary(before).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    if level.is_none()
        && let Some(first) = bytes.get(..FIRST)
    {
        compressor
            .compress_vec(first, &mut out, FlushCompress::None)
            .map_err(io::Error::other)?;
        if out.len() < FIRST / WELL {
            compressor
                .set_level(Compression::new(LEVELS.1))
                .map_err(io::Error::other)?;
        }
    }
    loop {
        let rest = bytes.get(compressor.total_in() as usize..).unwrap_or_default();
        let status = compressor
            .compress_vec(rest, &mut out, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        let done = compressor.total_in() as usize == bytes.len();
        // With output capacity left, the flush is complete (zlib.h, deflate).
        if done && out.len() < out.capacity() && status != Status::StreamEnd {
            return Ok((out, sum));
        }
        out.reserve(bytes.len() / 4 + 64);
    }
}
