//! One zstd frame (RFC 8878), compressed by one thread: Linux stops after the first frame of an initrd,
//! and the blocks of a frame depend on each other.

use std::io::{self, Write};

use extents::Extents;
use zstd::Stream;

/// Writes the compressed bytes.
pub fn write(plain: &Extents, level: u32, out: &mut dyn Write, progress: super::ProgressFn<'_>) -> io::Result<()> {
    let mut stream = Stream::new(out, level);
    extents::emit::stream(plain, &mut super::Counted(&mut stream, progress))?;
    stream.finish()
}
