//! LZ4's legacy frame, the only one that Linux's `unlz4` reads (LZ4 Frame Format Description, Legacy
//! frame): the magic number, then blocks with their compressed sizes.

use std::io::{self, Write};

use extents::Extents;

/// Magic number 0x184C2102, little-endian.
const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// Decompressed length of every block but the last, in bytes.
const BLOCK: u64 = 8 << 20;

/// Writes the compressed bytes.
pub fn write(plain: &Extents, jobs: usize, out: &mut dyn Write, progress: super::ProgressFn<'_>) -> io::Result<()> {
    let mut left = plain.len();
    out.write_all(&MAGIC)?;
    ordered::map(
        0..plain.len().div_ceil(BLOCK),
        jobs,
        Vec::new,
        |bytes, index| {
            let start = index * BLOCK;
            bytes.resize(BLOCK.min(plain.len() - start) as usize, 0);
            plain.read_exact_at(bytes, start)?;
            Ok(lz4_flex::block::compress(bytes))
        },
        |bytes: Vec<u8>| {
            progress(BLOCK.min(left));
            left = left.saturating_sub(BLOCK);
            out.write_all(&(bytes.len() as u32).to_le_bytes())?;
            out.write_all(&bytes)
        },
    )
}
