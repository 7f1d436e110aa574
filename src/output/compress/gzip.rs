//! One gzip member (RFC 1952) whose pieces are compressed by several threads, the way of pigz: each
//! knows the plain bytes before it, and waits for none.
//!
//! ```text
//! header 10 B | block 0 ... sync | block 1 ... sync | ... | final empty block | CRC-32 | length
//! ```
//!
//! Each piece ends with a sync flush, an empty stored block that fills up to a byte (RFC 1951,
//! section 3.2.4), so that the pieces can stand behind each other.

use std::io::{self, Write};

use extents::Extents;
use flate2::{Compress, Compression, FlushCompress, Status};

/// How much is compressed by itself, in bytes. Smaller ones lose more at their ends.
const PIECE: u64 = 1 << 20;
/// How far back a match may reach, in bytes (RFC 1951, section 2).
const WINDOW: u64 = 32 << 10;
/// Magic, method deflate, no flags, no time, no extra flags, operating system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A final block with fixed codes that has nothing but its end.
const FINAL: [u8; 2] = [3, 0];

pub fn write(plain: &Extents, level: u32, jobs: usize, out: &mut dyn Write) -> io::Result<()> {
    let count = plain.len().div_ceil(PIECE);
    out.write_all(&HEADER)?;
    let mut sum = crc32fast::Hasher::new();
    ordered::map(
        0..count,
        jobs,
        || Deflate {
            compressor: Compress::new(Compression::new(level), false),
            bytes: Vec::new(),
        },
        |deflate, index| deflate.piece(plain, index),
        |(bytes, piece)| {
            sum.combine(&piece);
            out.write_all(&bytes)
        },
    )?;
    out.write_all(&FINAL)?;
    out.write_all(&sum.finalize().to_le_bytes())?;
    // The length is kept modulo 2^32.
    out.write_all(&(plain.len() as u32).to_le_bytes())
}

/// What a thread compresses one piece after another with.
struct Deflate {
    compressor: Compress,
    /// The piece, and what comes before it.
    bytes: Vec<u8>,
}

impl Deflate {
    /// Deflate blocks that end on a byte and have no final one, and the sum of what is in them.
    fn piece(&mut self, plain: &Extents, index: u64) -> io::Result<(Vec<u8>, crc32fast::Hasher)> {
        let start = index * PIECE;
        let window = start.min(WINDOW);
        let len = PIECE.min(plain.len() - start);
        self.bytes.resize((window + len) as usize, 0);
        plain.read_exact_at(&mut self.bytes, start - window)?;
        let (before, bytes) = self.bytes.split_at(window as usize);
        let mut sum = crc32fast::Hasher::new();
        sum.update(bytes);
        let compressor = &mut self.compressor;
        compressor.reset();
        compressor.set_dictionary(before).map_err(io::Error::other)?;
        let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
        loop {
            let rest = bytes.get(compressor.total_in() as usize..).unwrap_or_default();
            let status = compressor
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .map_err(io::Error::other)?;
            let done = compressor.total_in() as usize == bytes.len();
            // With room left in the output the flush is complete (zlib.h, deflate).
            if done && out.len() < out.capacity() && status != Status::StreamEnd {
                return Ok((out, sum));
            }
            out.reserve(bytes.len() / 4 + 64);
        }
    }
}
