//! Files that are compressed as a whole: disks, layers, kernels and initrds.

use std::io::{self, Read, Write};

use extents::Extents;

use super::lazy::Spool;
use crate::codec::decompress;

/// A block of LZ4's legacy frames, not compressed, in bytes (LZ4 Frame Format, "Legacy frame").
const LZ4_BLOCK: usize = 8 << 20;
/// The most that a block can have when it cannot be made smaller, in bytes.
const LZ4_LARGEST: usize = LZ4_BLOCK + LZ4_BLOCK / 255 + 16;
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// What it is compressed with, by how it begins.
pub fn how(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        _ if head.starts_with(&LZ4_LEGACY) => "lz4",
        _ => return None,
    })
}

/// The first bytes of what is compressed, at most `len`.
///
/// # Errors
/// What is damaged.
pub fn beginning(head: &[u8], content: &Extents, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader(head, content)?.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All that is compressed.
///
/// # Errors
/// What is damaged, and what expands to more than real files do.
pub fn whole(head: &[u8], content: &Extents) -> io::Result<Extents> {
    let mut spool = Spool::new(decompress::limit(content.len()));
    io::copy(&mut reader(head, content)?, &mut spool)?;
    spool.finish()
}

fn reader<'a>(head: &[u8], content: &'a Extents) -> io::Result<Box<dyn Read + 'a>> {
    match how(head) {
        Some("lz4") => Ok(Box::new(Legacy {
            packed: content.reader(),
            block: Vec::new(),
            at: 0,
            done: false,
        })),
        _ => decompress::reader(content.reader()),
    }
}

/// A legacy frame: blocks with their lengths before them, up to a length of 0 or the end.
struct Legacy<R> {
    packed: R,
    block: Vec<u8>,
    at: usize,
    done: bool,
}

impl<R: Read> Legacy<R> {
    fn next(&mut self) -> io::Result<()> {
        let mut len = [0; 4];
        loop {
            let mut have = 0;
            // An archive may follow, or nothing.
            while let Some(rest) = len.get_mut(have..).filter(|rest| !rest.is_empty()) {
                match self.packed.read(rest)? {
                    0 => break,
                    read => have += read,
                }
            }
            if have < len.len() {
                self.done = true;
                return Ok(());
            }
            // Another frame may follow at once.
            if len != LZ4_LEGACY {
                break;
            }
        }
        let len = u32::from_le_bytes(len) as usize;
        if len == 0 {
            self.done = true;
            return Ok(());
        }
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("an lz4 block {what}"));
        if len > LZ4_LARGEST {
            return Err(damaged("is longer than there are any"));
        }
        let mut packed = vec![0; len];
        self.packed.read_exact(&mut packed)?;
        self.block.resize(LZ4_BLOCK, 0);
        let have = lz4_flex::block::decompress_into(&packed, &mut self.block);
        let have = have.map_err(|error| damaged(&format!("is damaged: {error}")))?;
        self.block.truncate(have);
        self.at = 0;
        Ok(())
    }
}

impl<R: Read> Read for Legacy<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.block.len() && !self.done {
            self.next()?;
        }
        if self.done {
            return Ok(0);
        }
        let rest = self.block.get(self.at..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        let (to, _) = buf.split_at_mut(len);
        to.copy_from_slice(rest.split_at(len).0);
        self.at += len;
        Ok(len)
    }
}

/// Writes what a reader has, in pieces.
///
/// # Errors
/// What reading or writing fails with.
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
