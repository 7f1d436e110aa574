//! Content behind the traits that third-party filesystem readers ask for.

use std::io::{self, Read, Seek, SeekFrom, Write};

use extents::Extents;

/// Sector of a disk, in bytes.
const SECTOR: hadris_storage::BlockSize = match hadris_storage::BlockSize::new(512) {
    Some(size) => size,
    None => unreachable!(),
};

/// Content with a read position. Writing fails.
#[derive(Clone, Debug)]
pub struct Source {
    content: Extents,
    position: u64,
}

impl Source {
    /// Returns a source at position 0.
    pub fn new(content: Extents) -> Source {
        Source { content, position: 0 }
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.content.len().saturating_sub(self.position);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let (head, _) = buf.split_at_mut(len);
        self.content.read_exact_at(head, self.position)?;
        self.position = self.position.saturating_add(len as u64);
        Ok(len)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.content.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Write for Source {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ext4_view::Ext4Read for Source {
    fn read(&mut self, start: u64, buf: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.content.read_exact_at(buf, start)?)
    }
}

impl lamfold::BlockSource for Source {
    fn len(&self) -> u64 {
        self.content.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> lamfold::Result<()> {
        let read = self.content.read_exact_at(buf, offset);
        read.map_err(|_| lamfold::FoldError::Io("the content is truncated or unreadable"))
    }
}

impl hadris_io::ErrorType for Source {
    type Error = io::Error;
}

impl hadris_storage::sync::BlockDevice for Source {
    fn block_size(&self) -> hadris_storage::BlockSize {
        SECTOR
    }

    fn block_count(&self) -> u64 {
        self.content.len() / 512
    }

    fn read_blocks(
        &mut self,
        first: hadris_storage::BlockIndex,
        buf: &mut [u8],
    ) -> Result<(), hadris_io::Error<io::Error>> {
        let read = self.content.read_exact_at(buf, first.get().saturating_mul(512));
        read.map_err(|error| hadris_io::Error::device(error, "the content is unreadable"))
    }
}
