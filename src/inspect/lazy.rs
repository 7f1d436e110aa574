//! Files that are read when somebody wants their bytes: listing a filesystem reads none.

use std::fmt::{self, Debug};
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use extents::{Blob, Extents, FileBlob, Slice};
use tempfile::{SpooledData, SpooledTempFile};

use super::guard::guard;

/// How much of a file is kept in memory, in bytes; what is more goes to a temporary file.
const IN_MEMORY: usize = 64 << 20;
/// Zeros are left out in units of this many bytes.
const UNIT: usize = 64 << 10;
static ZEROS: [u8; UNIT] = [0; UNIT];

/// Writes a file's bytes.
type Load = dyn Fn(&mut Spool) -> io::Result<()> + Send + Sync;

/// A file of `len` bytes that `load` writes when it is read for the first time.
pub fn file(len: u64, load: impl Fn(&mut Spool) -> io::Result<()> + Send + Sync + 'static) -> Extents {
    Extents::from_slice(Slice::whole(Arc::new(Lazy {
        len,
        load: Box::new(load),
        loaded: Mutex::new(None),
    })))
}

struct Lazy {
    len: u64,
    load: Box<Load>,
    loaded: Mutex<Option<Extents>>,
}

impl Debug for Lazy {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Lazy({} bytes)", self.len)
    }
}

impl Blob for Lazy {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = &*loaded {
            return content.read_exact_at(buf, offset);
        }
        let mut spool = Spool::new(self.len);
        guard(|| (self.load)(&mut spool).map_err(|error| error.to_string())).map_err(io::Error::other)?;
        let content = spool.finish()?;
        if content.len() != self.len {
            return Err(io::Error::other(format!(
                "a file of {} bytes has only {}",
                self.len,
                content.len()
            )));
        }
        content.read_exact_at(buf, offset)?;
        *loaded = Some(content);
        Ok(())
    }
}

/// Takes bytes up to a limit, in memory or a temporary file, in which zeros take no room.
pub struct Spool {
    file: SpooledTempFile,
    /// What waits to become a unit.
    unit: Vec<u8>,
    len: u64,
    /// How many bytes that are not zeros there may still be.
    left: u64,
}

impl Spool {
    /// Nothing yet, and room for `limit` bytes, zeros not counted.
    pub fn new(limit: u64) -> Spool {
        Spool {
            file: SpooledTempFile::new(IN_MEMORY),
            unit: Vec::with_capacity(UNIT),
            len: 0,
            left: limit,
        }
    }

    fn put(&mut self) -> io::Result<()> {
        let len = self.unit.len() as u64;
        if Some(self.unit.as_slice()) != ZEROS.get(..self.unit.len()) {
            self.left = self
                .left
                .checked_sub(len)
                .ok_or_else(|| io::Error::other("it expands to more than real ones do"))?;
            self.file.seek(SeekFrom::Start(self.len))?;
            self.file.write_all(&self.unit)?;
        }
        self.len = self.len.saturating_add(len);
        self.unit.clear();
        Ok(())
    }

    /// All that was written.
    pub fn finish(mut self) -> io::Result<Extents> {
        self.put()?;
        self.file.flush()?;
        let mut content = match self.file.into_inner() {
            SpooledData::InMemory(bytes) => Extents::from_bytes(bytes.into_inner()),
            SpooledData::OnDisk(file) => Extents::from_slice(Slice::whole(Arc::new(FileBlob::new(file)?))),
        };
        // Zeros at the end were never written.
        content.set_len(self.len);
        Ok(content)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = UNIT.saturating_sub(self.unit.len());
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.unit.extend_from_slice(taken);
        if self.unit.len() == UNIT {
            self.put()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn bytes_and_zeros_come_back() {
        let mut bytes = vec![0; 3 * UNIT + 5];
        bytes[UNIT + 7] = 9;
        let expected = bytes.clone();
        let content = file(bytes.len() as u64, move |out| out.write_all(&bytes));
        assert!(content.to_vec().unwrap() == expected);
    }

    #[test]
    fn a_file_that_is_shorter_or_longer_or_panics_is_an_error() {
        assert!(file(9, |out| out.write_all(b"short")).to_vec().is_err());
        assert!(file(1, |out| out.write_all(b"long")).to_vec().is_err());
        assert!(file(1, |_| panic!("gone")).to_vec().is_err());
    }
}
