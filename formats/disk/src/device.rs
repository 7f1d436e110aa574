//! Extents as a device, for the crates that encode tables.

use std::io::{self, Read, Seek, SeekFrom, Write};

use extents::Extents;

/// A virtual file that is read and written at a position.
#[derive(Debug)]
pub(crate) struct Device<'a> {
    content: &'a mut Extents,
    position: u64,
}

impl<'a> Device<'a> {
    /// Opens a virtual file at its first byte.
    pub(crate) fn new(content: &'a mut Extents) -> Self {
        Device { content, position: 0 }
    }
}

impl Read for Device<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.content.len().saturating_sub(self.position);
        let len = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = buf.get_mut(..len).unwrap_or_default();
        self.content.read_exact_at(part, self.position)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Write for Device<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let end = self.position.saturating_add(buf.len() as u64);
        if end > self.content.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.content.put_bytes(self.position, buf);
        self.position = end;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Device<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.content.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
