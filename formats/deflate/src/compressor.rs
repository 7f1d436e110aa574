//! Independent streams, each with a limit to its length, from one compressor that is reused.

use flate2::{Compress, Compression, FlushCompress, Status};

/// Reusable compressor. A stream does not depend on those before it.
pub struct Deflate {
    compressor: Compress,
    fresh: fn(Compression) -> Compress,
    level: Compression,
}

impl Deflate {
    /// Creates a compressor of streams with the header and checksum of zlib (RFC 1950) and a window of
    /// 32 KiB, at level 1 to 9.
    pub fn zlib(level: u32) -> Self {
        Self::new(level, |level| Compress::new(level, true))
    }

    /// Creates a compressor of raw streams with a window of 4 KiB, at level 1 to 9.
    pub fn raw_4k(level: u32) -> Self {
        Self::new(level, |level| Compress::new_with_window_bits(level, false, 12))
    }

    fn new(level: u32, fresh: fn(Compression) -> Compress) -> Self {
        let level = Compression::new(level);
        Deflate {
            compressor: fresh(level),
            fresh,
            level,
        }
    }

    /// Appends a stream of at most `max_len` bytes to `out`. Returns false, leaving `out` as it was, if
    /// the stream would be longer.
    pub fn compress(&mut self, content: &[u8], max_len: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.reserve_exact(max_len);
        let status = self.compressor.compress_vec(content, out, FlushCompress::Finish);
        if matches!(status, Ok(Status::StreamEnd)) {
            self.compressor.reset();
        } else {
            // zlib-rs 0.6 subtracts pending output from its buffer even after a reset, and panics once
            // nothing of the buffer is left.
            self.compressor = (self.fresh)(self.level);
        }
        let fits = matches!(status, Ok(Status::StreamEnd)) && out.len() - start <= max_len;
        if !fits {
            out.truncate(start);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};

    use super::*;

    const LEN: usize = 64 << 10;

    fn noise(mut state: u32) -> Vec<u8> {
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(LEN)
        .collect()
    }

    #[test]
    fn streams_do_not_depend_on_those_before() {
        type Kind = (fn(u32) -> Deflate, fn() -> Decompress);
        let kinds: [Kind; 2] = [
            (Deflate::zlib, || Decompress::new(true)),
            (Deflate::raw_4k, || Decompress::new_with_window_bits(false, 12)),
        ];
        let half: Vec<u8> = noise(3).iter().map(|byte| byte & 15).collect();
        let loud = noise(1);
        let text: Vec<u8> = (0..LEN).map(|at| (at / 7 % 61) as u8).collect();
        for (level, (new, reader)) in (1..=9).flat_map(|level| kinds.map(|kind| (level, kind))) {
            let mut deflate = new(level);
            // Noise leaves pending output of various lengths in the compressor.
            let noises = (1..30).map(|seed| (noise(seed), false));
            let others = [(&half, true), (&loud, false), (&text, true), (&half, true)];
            for (content, fits) in noises.chain(others.map(|(content, fits)| (content.clone(), fits))) {
                let mut out = b"before".to_vec();
                assert_eq!(deflate.compress(&content, LEN, &mut out), fits, "level {level}");
                let mut fresh = b"before".to_vec();
                new(level).compress(&content, LEN, &mut fresh);
                assert!(out == fresh, "level {level}");
                if fits {
                    let mut read = Vec::with_capacity(LEN + 1);
                    let end = reader().decompress_vec(&out[6..], &mut read, FlushDecompress::Finish);
                    assert!(matches!(end, Ok(Status::StreamEnd)) && read == content, "level {level}");
                } else {
                    assert_eq!(out, b"before");
                }
            }
        }
    }
}
