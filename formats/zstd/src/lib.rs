//! Zstandard frames (RFC 8878), encoded by structured-zstd.
//!
//! The encoder is generic and compiles for a minute wherever it is instantiated; crates that
//! share this one instantiate it once.
//!
#![doc = include_str!("../README.md")]

use std::io::{self, Write};
use std::ops::RangeInclusive;

use structured_zstd::encoding::{CompressionLevel, FrameCompressor, StreamingEncoder};

/// Compression levels, from the fastest to the strongest.
pub const LEVELS: RangeInclusive<u32> = 1..=22;

fn compression_level(level: u32) -> CompressionLevel {
    let level = level.clamp(*LEVELS.start(), *LEVELS.end());
    CompressionLevel::from_level(i32::try_from(level).unwrap_or(1))
}

/// Reusable compressor of independent frames. A frame does not depend on those before it.
pub struct Frames(Box<FrameCompressor>);

impl Frames {
    /// Creates a compressor; a level outside of [`LEVELS`] becomes the nearest one.
    pub fn new(level: u32) -> Self {
        Frames(Box::new(FrameCompressor::new(compression_level(level))))
    }

    /// Replaces `out` by one frame, which has the size of the content and no checksum.
    pub fn compress(&mut self, content: &[u8], out: &mut Vec<u8>) {
        self.0.compress_independent_frame_into(content, out);
    }
}

/// Writer that compresses everything written to it into one frame.
pub struct Stream<'a>(StreamingEncoder<&'a mut dyn Write>);

impl<'a> Stream<'a> {
    /// Starts a frame on `out`; a level outside of [`LEVELS`] becomes the nearest one.
    pub fn new(out: &'a mut dyn Write, level: u32) -> Self {
        Stream(StreamingEncoder::new(out, compression_level(level)))
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// Failure to write to the underlying writer.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish().map(drop)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.0.write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use ruzstd::decoding::StreamingDecoder;

    use super::*;

    /// Returns repetitive text alternating with noise.
    fn content(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..len)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at >> 12 & 1 == 0 {
                    (at / 7 % 61) as u8
                } else {
                    (state >> 24) as u8
                }
            })
            .collect()
    }

    fn read(frame: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        StreamingDecoder::new(frame).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn ruzstd_reads_frames_and_streams_of_every_level() {
        for level in LEVELS {
            let mut frames = Frames::new(level);
            for len in [0, 1, 100, 4096, 300_000] {
                let content = content(len);
                let mut frame = b"what was there".to_vec();
                frames.compress(&content, &mut frame);
                assert!(read(&frame) == content, "level {level}, {len} bytes");
                let mut fresh = Vec::new();
                Frames::new(level).compress(&content, &mut fresh);
                assert!(fresh == frame, "level {level}, {len} bytes");

                let mut bytes = Vec::new();
                let mut stream = Stream::new(&mut bytes, level);
                content.chunks(999).for_each(|part| stream.write_all(part).unwrap());
                stream.finish().unwrap();
                assert!(read(&bytes) == content, "level {level}, {len} bytes");
            }
        }
    }
}
