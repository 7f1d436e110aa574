//! What slices are cut from.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::sys;

/// Something with bytes at fixed places that can be read by several threads at once.
pub trait Blob: Debug + Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the blob ends before; otherwise what reading fails with.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// A digest, where one is known: what no other content has.
    fn digest(&self) -> Option<&[u8]> {
        None
    }

    /// The file behind it and where the blob starts in it, when there is one: copying can
    /// then be left to the operating system.
    fn as_file(&self) -> Option<(&File, u64)> {
        None
    }
}

/// A file on the host, its length taken when it was opened.
#[derive(Debug)]
pub struct FileBlob {
    file: File,
    len: u64,
    digest: Option<Vec<u8>>,
}

impl FileBlob {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// What opening or asking for the length fails with.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// Takes a file that is open for reading.
    ///
    /// # Errors
    /// What asking for the length fails with.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(FileBlob {
            file,
            len,
            digest: None,
        })
    }

    /// The same with a digest that is known of it.
    pub fn with_digest(self, digest: impl Into<Vec<u8>>) -> Self {
        FileBlob {
            digest: Some(digest.into()),
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
    /// The whole blob.
    pub fn whole(blob: Arc<dyn Blob>) -> Self {
        let len = blob.len();
        Slice { blob, offset: 0, len }
    }

    /// `len` bytes of a blob from `offset` on, or nothing when the blob ends before.
    pub fn new(blob: Arc<dyn Blob>, offset: u64, len: u64) -> Option<Self> {
        (offset.checked_add(len)? <= blob.len()).then_some(Slice { blob, offset, len })
    }

    /// The blob that it is cut from.
    pub fn blob(&self) -> &Arc<dyn Blob> {
        &self.blob
    }

    /// Where it starts in the blob, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part from `start` on of `len` bytes, both cut to what there is.
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
    /// `UnexpectedEof` when the slice ends before; otherwise what reading the blob fails with.
    pub fn read_exact_at(&self, buf: &mut [u8], skip: u64) -> io::Result<()> {
        if skip.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.blob.read_exact_at(buf, self.offset + skip)
    }
}
