//! Blobs, and slices of them.

use std::any::Any;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::sys;

/// Immutable bytes that several threads can read at any offset.
pub trait Blob: Debug + Send + Sync {
    /// Returns the length in bytes.
    fn len(&self) -> u64;

    /// Returns whether the length is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the blob ends before, or the error of the read.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Returns a digest of the content, if one is known. Blobs with equal digests are equal.
    fn digest(&self) -> Option<&[u8]> {
        None
    }

    /// Returns what the content was made from, if it is known, for writers that know the type.
    fn origin(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }

    /// Returns the file that has the blob, and the blob's offset in it in bytes, if there is one.
    /// The operating system can then copy.
    fn as_file(&self) -> Option<(&File, u64)> {
        None
    }
}

/// A file of the operating system, with the length that it had when it was opened.
#[derive(Debug)]
pub struct FileBlob {
    file: File,
    len: u64,
    digest: Option<Vec<u8>>,
    origin: Option<Arc<dyn Any + Send + Sync>>,
}

impl FileBlob {
    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// The file cannot be opened, or its length cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Opening a FIFO would wait for a writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Self::new(File::open(path)?)
    }

    /// Creates a blob of a file that is open for reading.
    ///
    /// # Errors
    /// The length cannot be read.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(FileBlob {
            file,
            len,
            digest: None,
            origin: None,
        })
    }

    /// Sets the digest of the content, which the caller knows.
    pub fn with_digest(self, digest: impl Into<Vec<u8>>) -> Self {
        FileBlob {
            digest: Some(digest.into()),
            ..self
        }
    }

    /// Sets what the content was made from.
    pub fn with_origin(self, origin: Arc<dyn Any + Send + Sync>) -> Self {
        FileBlob {
            origin: Some(origin),
            ..self
        }
    }
}

impl Blob for FileBlob {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        sys::read_exact_at(&self.file, buf, offset)
    }

    fn digest(&self) -> Option<&[u8]> {
        self.digest.as_deref()
    }

    fn origin(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.origin.as_deref()
    }

    fn as_file(&self) -> Option<(&File, u64)> {
        Some((&self.file, 0))
    }
}

/// A range of a blob.
#[derive(Clone, Debug)]
pub struct Slice {
    blob: Arc<dyn Blob>,
    offset: u64,
    len: u64,
}

impl Slice {
    /// Creates a slice of all bytes of a blob.
    pub fn from_blob(blob: Arc<dyn Blob>) -> Self {
        let len = blob.len();
        Slice { blob, offset: 0, len }
    }

    /// Creates a slice of `len` bytes from `offset` on; `None` if the blob ends before.
    pub fn new(blob: Arc<dyn Blob>, offset: u64, len: u64) -> Option<Self> {
        (offset.checked_add(len)? <= blob.len()).then_some(Slice { blob, offset, len })
    }

    /// Returns the blob.
    pub fn blob(&self) -> &Arc<dyn Blob> {
        &self.blob
    }

    /// Returns the offset in the blob, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the part of `len` bytes from `start` on, both limited to the length.
    pub fn part(&self, start: u64, len: u64) -> Slice {
        let start = start.min(self.len);
        Slice {
            blob: self.blob.clone(),
            offset: self.offset + start,
            len: len.min(self.len - start),
        }
    }

    /// Fills `buf` with the bytes from `skip` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the slice ends before, or the blob cannot be read.
    pub fn read_exact_at(&self, buf: &mut [u8], skip: u64) -> io::Result<()> {
        if skip.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.blob.read_exact_at(buf, self.offset + skip)
    }
}
