//! Compressed files: disks, layers, kernels and initrds.

use std::fmt;
use std::io::{self, Read, Write};

use extents::Extents;

use super::Error;
use super::budget::Budget;
use super::lazy::Spool;
use crate::codec::decompress;

/// Uncompressed block of LZ4's legacy frames, in bytes (LZ4 Frame Format, "Legacy frame").
const LZ4_BLOCK: usize = 8 << 20;
/// Maximum length of a compressed block, of incompressible data, in bytes.
const MAX_LZ4_BLOCK: usize = LZ4_BLOCK + LZ4_BLOCK / 255 + 16;
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// Compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz file format.
    Xz,
    /// LZ4's legacy frames, as the Linux kernel reads them.
    Lz4,
}

impl Compression {
    /// Detects the compression by the first bytes of a file.
    pub fn detect(head: &[u8]) -> Option<Compression> {
        match head {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Some(Compression::Xz),
            _ if head.starts_with(&LZ4_LEGACY) => Some(Compression::Lz4),
            _ => None,
        }
    }

    /// Returns the name that the compression's own tools use.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Xz => "xz",
            Compression::Lz4 => "lz4",
        }
    }

    /// Returns the first `len` decompressed bytes, or fewer if there are no more.
    ///
    /// # Errors
    /// Corrupt compressed data.
    pub fn peek(self, content: &Extents, len: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let reader = self.reader(content).map_err(|error| self.error(error))?;
        reader
            .take(len)
            .read_to_end(&mut bytes)
            .map_err(|error| self.error(error))?;
        Ok(bytes)
    }

    /// Decompresses all of `content`.
    ///
    /// # Errors
    /// Corrupt compressed data, data that expands beyond any real file's ratio, and a budget that
    /// is used up.
    pub fn decompress(self, content: &Extents, budget: &Budget) -> Result<Extents, Error> {
        // An empty budget needs no attempt.
        budget.take(1)?;
        let allowed = budget.left();
        let mut spool = Spool::new(decompress::limit(content.len()), u64::MAX);
        let reader = self.reader(content).map_err(|error| self.error(error))?;
        let copied = io::copy(&mut reader.take(allowed.saturating_add(1)), &mut spool);
        budget.take(spool.len())?;
        copied.map_err(|error| self.error(error))?;
        Ok(spool.finish()?)
    }

    fn reader(self, content: &Extents) -> io::Result<Box<dyn Read + '_>> {
        if self == Compression::Lz4 {
            Ok(Box::new(Lz4Legacy {
                compressed: content.reader(),
                block: Vec::new(),
                position: 0,
                ended: false,
            }))
        } else {
            decompress::reader(content.reader())
        }
    }

    fn error(self, error: io::Error) -> Error {
        let format = match self {
            Compression::Gzip => "gzip data",
            Compression::Zstd => "zstd data",
            Compression::Xz => "xz data",
            Compression::Lz4 => "lz4 data",
        };
        Error::reader(format, error)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Legacy frames: blocks, each after its length, up to a length of 0 or the end of the file.
struct Lz4Legacy<R> {
    compressed: R,
    block: Vec<u8>,
    position: usize,
    ended: bool,
}

impl<R: Read> Lz4Legacy<R> {
    fn next_block(&mut self) -> io::Result<()> {
        let mut len = [0; 4];
        loop {
            let mut filled = 0;
            // An archive may follow, or nothing.
            while let Some(rest) = len.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match self.compressed.read(rest)? {
                    0 => break,
                    read => filled += read,
                }
            }
            if filled < len.len() {
                self.ended = true;
                return Ok(());
            }
            // Another frame may follow at once.
            if len != LZ4_LEGACY {
                break;
            }
        }
        let len = u32::from_le_bytes(len) as usize;
        if len == 0 {
            self.ended = true;
            return Ok(());
        }
        let invalid = |found: String| io::Error::new(io::ErrorKind::InvalidData, found);
        if len > MAX_LZ4_BLOCK {
            return Err(invalid(format!("a block of {len} bytes, the limit is {MAX_LZ4_BLOCK}")));
        }
        let mut compressed = vec![0; len];
        self.compressed.read_exact(&mut compressed)?;
        self.block.resize(LZ4_BLOCK, 0);
        let len = lz4_flex::block::decompress_into(&compressed, &mut self.block);
        let len = len.map_err(|error| invalid(format!("a corrupt block: {error}")))?;
        self.block.truncate(len);
        self.position = 0;
        Ok(())
    }
}

impl<R: Read> Read for Lz4Legacy<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.position >= self.block.len() && !self.ended {
            self.next_block()?;
        }
        if self.ended {
            return Ok(0);
        }
        let rest = self.block.get(self.position..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        let (to, _) = buf.split_at_mut(len);
        to.copy_from_slice(rest.split_at(len).0);
        self.position += len;
        Ok(len)
    }
}

/// Copies bytes from `read` to `out` until `read` returns 0.
///
/// # Errors
/// Failures of `read` and of `out`.
pub fn copy(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>, out: &mut dyn Write) -> io::Result<()> {
    let mut buf = vec![0; 64 << 10];
    loop {
        let len = read(&mut buf)?;
        if len == 0 {
            return Ok(());
        }
        out.write_all(buf.get(..len).unwrap_or_default())?;
    }
}
