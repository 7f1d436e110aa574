//! One zstd frame (RFC 8878). Linux stops after the first frame of an initrd, and blocks of
//! one frame depend on each other, so one thread makes it.

use std::io::{self, Write};

use extents::Extents;
use zstd::Stream;

pub fn write(plain: &Extents, level: u32, out: &mut dyn Write) -> io::Result<()> {
    let mut stream = Stream::new(out, level);
    extents::emit::stream(plain, &mut stream)?;
    stream.finish()
}
