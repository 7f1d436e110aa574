//! `Read + Seek` over a virtual file.

use std::io::{self, Read, Seek, SeekFrom};

use crate::Extents;

/// A reader of an [`Extents`], with a position.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    file: &'a Extents,
    position: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a Extents) -> Self {
        Reader { file, position: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.position);
        let len = left.min(buf.len() as u64) as usize;
        let (head, _) = buf.split_at_mut(len);
        self.file.read_exact_at(head, self.position)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.file.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
