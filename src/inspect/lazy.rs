//! Files that are read on demand: listing a filesystem reads no file.

use std::fmt::{self, Debug};
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use extents::{Blob, Extents, FileBlob};
use tempfile::{SpooledData, SpooledTempFile};

use super::Error;
use super::guard::guard;

/// Part of a file that is kept in memory, in bytes; a longer one goes to a temporary file.
const MAX_IN_MEMORY: usize = 64 << 20;
/// Unit in which zeros are left out, in bytes.
const UNIT: usize = 64 << 10;
static ZEROS: [u8; UNIT] = [0; UNIT];

/// Writes the bytes of a file.
type Load = dyn Fn(&mut Spool) -> io::Result<()> + Send + Sync;

/// Returns a file of `len` bytes that `load` writes at the first read.
pub fn file(len: u64, load: impl Fn(&mut Spool) -> io::Result<()> + Send + Sync + 'static) -> Extents {
    Extents::from_blob(Arc::new(Lazy {
        len,
        load: Box::new(load),
        loaded: Mutex::new(None),
    }))
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
        let mut spool = Spool::new(self.len, self.len);
        guard(|| (self.load)(&mut spool).map_err(Error::Read)).map_err(io::Error::other)?;
        let content = spool.finish()?;
        if content.len() != self.len {
            return Err(io::Error::other(format!(
                "a file of {} bytes has {} bytes of content",
                self.len,
                content.len()
            )));
        }
        content.read_exact_at(buf, offset)?;
        *loaded = Some(content);
        Ok(())
    }
}

/// A writer into memory or a temporary file, with a limit. Zeros take no space.
pub struct Spool {
    file: SpooledTempFile,
    /// Bytes that do not fill a unit yet.
    unit: Vec<u8>,
    len: u64,
    /// Number of bytes that may still follow, units of zeros not counted.
    data_left: u64,
    /// Limit of `len`.
    max_len: u64,
}

impl Spool {
    /// Returns an empty spool for at most `max_len` bytes, of which `max_data` are not zeros.
    pub fn new(max_data: u64, max_len: u64) -> Spool {
        Spool {
            file: SpooledTempFile::new(MAX_IN_MEMORY),
            unit: Vec::with_capacity(UNIT),
            len: 0,
            data_left: max_data,
            max_len,
        }
    }

    /// Returns the number of bytes written so far.
    pub fn len(&self) -> u64 {
        self.len.saturating_add(self.unit.len() as u64)
    }

    fn flush_unit(&mut self) -> io::Result<()> {
        let too_large = || io::Error::other("it expands beyond the limit for its length");
        let len = self.unit.len() as u64;
        if Some(self.unit.as_slice()) != ZEROS.get(..self.unit.len()) {
            self.data_left = self.data_left.checked_sub(len).ok_or_else(too_large)?;
            self.file.seek(SeekFrom::Start(self.len))?;
            self.file.write_all(&self.unit)?;
        }
        self.len = self.len.saturating_add(len);
        self.unit.clear();
        if self.len > self.max_len {
            return Err(too_large());
        }
        Ok(())
    }

    /// Returns the bytes written.
    ///
    /// # Errors
    /// Failures to write the temporary file.
    pub fn finish(mut self) -> io::Result<Extents> {
        self.flush_unit()?;
        self.file.flush()?;
        let mut content = match self.file.into_inner() {
            SpooledData::InMemory(bytes) => Extents::from_bytes(bytes.into_inner()),
            SpooledData::OnDisk(file) => Extents::from_blob(Arc::new(FileBlob::new(file)?)),
        };
        // Zeros at the end were never written.
        content.set_len(self.len);
        Ok(content)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = UNIT.saturating_sub(self.unit.len());
        let (taken, _) = bytes.split_at(free.min(bytes.len()));
        self.unit.extend_from_slice(taken);
        if self.unit.len() == UNIT {
            self.flush_unit()?;
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

    #[test]
    fn zeros_count_toward_the_length() {
        let mut spool = Spool::new(0, UNIT as u64);
        spool.write_all(&[0; UNIT]).unwrap();
        assert!(spool.write_all(&[0; UNIT]).is_err());
    }
}
