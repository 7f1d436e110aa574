//! One zstd frame (RFC 8878). Linux stops after the first frame of an initrd, and blocks of
//! one frame depend on each other, so one thread makes it.

use std::io::{self, Write};

use extents::Extents;
use structured_zstd::encoding::{CompressionLevel, StreamingEncoder};

pub fn write(plain: &Extents, level: u32, out: &mut dyn Write) -> io::Result<()> {
    let level = CompressionLevel::from_level(i32::try_from(level).unwrap_or(1));
    let mut encoder = StreamingEncoder::new(out, level);
    extents::emit::stream(plain, &mut encoder)?;
    encoder.finish().map(drop)
}
