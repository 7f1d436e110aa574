//! Virtual files made of extents, for programs that write images.
//!
//! A format writer plans instead of writing: it decides which bytes have which offsets, and an
//! [`Extents`] records that without copying them.
//!
//! ```text
//! offset  0          512            4096                 4096+n        len
//!         | bytes    |   no extent  | slice of a file    |  no extent  |
//!         | metadata |   = zeros    | file[a .. a+n]     |  = zeros    |
//! ```
//!
//! An extent is bytes in memory or a [`Slice`] of a [`Blob`], such as a file; bytes that no extent
//! covers are zeros. Extents nest by [`Extents::put`]: a partition table wraps the extents of its
//! filesystems, a disk image format wraps those of the disk, and only [`emit`] copies anything.
//! [`Extents::reader`] gives any `Read + Seek` consumer the file before it exists.

mod blob;
pub mod emit;
mod reader;
mod sys;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use blob::{Blob, FileBlob, Slice};
pub use reader::Reader;

/// Bytes or a slice at an offset of a virtual file.
#[derive(Clone, Debug)]
pub struct Extent {
    offset: u64,
    data: Data,
}

/// Content of an extent.
#[derive(Clone, Debug)]
pub enum Data {
    /// A range of a buffer in memory.
    Bytes {
        /// Buffer, shared by all extents cut from it.
        buffer: Arc<[u8]>,
        /// Offset of the extent in the buffer, in bytes.
        start: usize,
        /// Length of the extent in bytes.
        len: usize,
    },
    /// A range of a blob.
    Slice(Slice),
}

impl Data {
    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Data::Bytes { len, .. } => *len as u64,
            Data::Slice(slice) => slice.len(),
        }
    }

    /// Returns whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether both begin at one place of one buffer or blob.
    fn begins_like(&self, other: &Data) -> bool {
        match (self, other) {
            (
                Data::Bytes { buffer, start, .. },
                Data::Bytes {
                    buffer: other_buffer,
                    start: other_start,
                    ..
                },
            ) => Arc::ptr_eq(buffer, other_buffer) && start == other_start,
            (Data::Slice(slice), Data::Slice(other)) => {
                std::ptr::addr_eq(Arc::as_ptr(slice.blob()), Arc::as_ptr(other.blob()))
                    && slice.offset() == other.offset()
            }
            _ => false,
        }
    }

    /// Returns whether both are one range of one buffer or blob.
    fn is(&self, other: &Data) -> bool {
        self.len() == other.len() && self.begins_like(other)
    }

    /// Returns the part of `len` bytes from `start` on, both limited to the length.
    fn part(&self, start: u64, len: u64) -> Data {
        match self {
            Data::Bytes {
                buffer,
                start: at,
                len: have,
            } => {
                let skip = (*have as u64).min(start) as usize;
                let len = ((*have - skip) as u64).min(len) as usize;
                Data::Bytes {
                    buffer: buffer.clone(),
                    start: at + skip,
                    len,
                }
            }
            Data::Slice(slice) => Data::Slice(slice.part(start, len)),
        }
    }
}

impl Extent {
    /// Returns the offset in the virtual file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the offset of the first byte behind the extent.
    pub fn end(&self) -> u64 {
        self.offset + self.data.len()
    }

    /// Returns the content.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Fills `buf` from the extent, `skip` bytes behind its start.
    fn read_exact_at(&self, buf: &mut [u8], skip: u64) -> io::Result<()> {
        match &self.data {
            Data::Bytes { buffer, start, .. } => {
                let from = start + skip as usize;
                let bytes = buffer.get(from..from + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                buf.copy_from_slice(bytes);
                Ok(())
            }
            Data::Slice(slice) => slice.read_exact_at(buf, skip),
        }
    }
}

/// A virtual file: a length, and extents sorted by offset that do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Extents {
    len: u64,
    extents: Vec<Extent>,
}

impl Extents {
    /// Creates an empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a file of `len` zeros.
    pub fn zeros(len: u64) -> Self {
        Extents {
            len,
            extents: Vec::new(),
        }
    }

    /// Creates a file with these bytes.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let mut file = Self::new();
        file.push_bytes(bytes);
        file
    }

    /// Creates a file with the bytes of a blob.
    pub fn from_blob(blob: Arc<dyn Blob>) -> Self {
        Self::from_slice(Slice::from_blob(blob))
    }

    /// Creates a file with the bytes of a file of the operating system, whose holes are zeros here too. Where the
    /// operating system does not tell holes, everything is a slice.
    pub fn from_sparse(blob: Arc<FileBlob>) -> Self {
        let mut file = Self::new();
        while let Some((from, _)) = blob.as_file()
            && let Some(data) = sys::next_data(from, file.len, blob.len())
        {
            file.set_len(data.start);
            let slice = Slice::from_blob(blob.clone());
            file.push_slice(slice.part(data.start, data.end - data.start));
        }
        file.set_len(blob.len());
        file
    }

    /// Creates a file with the bytes of a slice.
    pub fn from_slice(slice: Slice) -> Self {
        let mut file = Self::new();
        file.push_data(Data::Slice(slice));
        file
    }

    /// Opens a file of the operating system. It is read when the virtual file is, and must not
    /// change until then.
    ///
    /// # Errors
    /// The file cannot be opened, or its length cannot be read.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::from_blob(Arc::new(FileBlob::open(path.as_ref())?)))
    }

    /// Writes the file to `path`, as [`emit::to_path`] does.
    ///
    /// # Errors
    /// A blob cannot be read, or the file cannot be created, written, synced or renamed.
    pub fn write_to(&self, path: impl AsRef<Path>) -> io::Result<()> {
        emit::to_path(self, path.as_ref())
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the extents in the order of their offsets.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Appends bytes.
    pub fn push_bytes(&mut self, bytes: impl Into<Arc<[u8]>>) {
        let buffer = bytes.into();
        let len = buffer.len();
        self.push_data(Data::Bytes { buffer, start: 0, len });
    }

    /// Appends a slice of a blob.
    pub fn push_slice(&mut self, slice: Slice) {
        self.push_data(Data::Slice(slice));
    }

    /// Appends `len` zeros.
    pub fn push_zeros(&mut self, len: u64) {
        self.len = self.len.saturating_add(len);
    }

    /// Appends another virtual file.
    pub fn push(&mut self, other: &Extents) {
        self.put(self.len, other);
    }

    /// Appends zeros up to the next multiple of `unit` bytes.
    pub fn align_to(&mut self, unit: u64) {
        self.len = self.len.next_multiple_of(unit.max(1));
    }

    /// Sets the length to `len` bytes: truncates, or appends zeros.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.clear(len, self.len - len);
        }
        self.len = len;
    }

    /// Replaces the bytes from `offset` on. The file grows if needed.
    pub fn put_bytes(&mut self, offset: u64, bytes: impl Into<Arc<[u8]>>) {
        let buffer = bytes.into();
        let len = buffer.len();
        self.put_data(offset, Data::Bytes { buffer, start: 0, len });
    }

    /// Replaces the bytes from `offset` on by another virtual file, zeros included. The file grows
    /// if needed.
    pub fn put(&mut self, offset: u64, other: &Extents) {
        let end = offset.saturating_add(other.len);
        self.clear(offset, other.len);
        let at = self.extents.partition_point(|e| e.offset < offset);
        let shifted = other.extents.iter().map(|e| Extent {
            offset: offset + e.offset,
            data: e.data.clone(),
        });
        self.extents.splice(at..at, shifted);
        self.len = self.len.max(end);
    }

    /// Returns the part of `len` bytes from `offset` on, both limited to the length.
    pub fn part(&self, offset: u64, len: u64) -> Extents {
        let offset = offset.min(self.len);
        let len = len.min(self.len - offset);
        let end = offset + len;
        let first = self.extents.partition_point(|e| e.end() <= offset);
        let last = self.extents.partition_point(|e| e.offset < end);
        let parts = self.extents.get(first..last).filter(|_| len > 0).unwrap_or_default();
        let cut = |extent: &Extent| {
            let from = extent.offset.max(offset);
            Extent {
                offset: from - offset,
                data: extent.data.part(from - extent.offset, end.min(extent.end()) - from),
            }
        };
        // No more memory than needed: an archive of many files has as many parts.
        Extents {
            len,
            extents: parts.iter().map(cut).collect(),
        }
    }

    /// Returns the first offset at which `other` is a part of this file: made of one and the same
    /// buffers and slices. Bytes are not compared, and a file of zeros only is not found.
    pub fn find(&self, other: &Extents) -> Option<u64> {
        let first = other.extents.first()?;
        let same = |a: &Extent, b: &Extent| a.offset == b.offset && a.data.is(&b.data);
        let there = |start: &u64| {
            let part = self.part(*start, other.len);
            part.len == other.len
                && part.extents.len() == other.extents.len()
                && part.extents.iter().zip(&other.extents).all(|(a, b)| same(a, b))
        };
        let candidates = self
            .extents
            .iter()
            .filter(|extent| extent.data.begins_like(&first.data));
        candidates
            .filter_map(|extent| extent.offset.checked_sub(first.offset))
            .find(there)
    }

    /// Returns the units of `unit` bytes in which an extent lies, as ranges of their numbers. All
    /// others are zeros.
    pub fn occupied(&self, unit: u64) -> Vec<Range<u64>> {
        let unit = unit.max(1);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for extent in &self.extents {
            let (start, end) = (extent.offset / unit, extent.end().div_ceil(unit));
            match ranges.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before, or a blob cannot be read.
    pub fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut next = self.extents.partition_point(|e| e.end() <= offset);
        while !buf.is_empty() {
            let extent = self.extents.get(next);
            let gap = extent.map_or(u64::MAX, |e| e.offset.saturating_sub(offset));
            let take = match extent {
                Some(e) if gap == 0 => e.end() - offset,
                _ => gap,
            };
            let (head, tail) = buf.split_at_mut(take.min(buf.len() as u64) as usize);
            match extent {
                Some(e) if gap == 0 => {
                    e.read_exact_at(head, offset - e.offset)?;
                    next += 1;
                }
                _ => head.fill(0),
            }
            offset += head.len() as u64;
            buf = tail;
        }
        Ok(())
    }

    /// Reads the whole file into memory, which suits small files.
    ///
    /// # Errors
    /// A blob cannot be read.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = vec![0; len];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Returns a reader of the file with `Read` and `Seek`.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }

    fn push_data(&mut self, data: Data) {
        let offset = self.len;
        self.len = self.len.saturating_add(data.len());
        if !data.is_empty() {
            self.extents.push(Extent { offset, data });
        }
    }

    fn put_data(&mut self, offset: u64, data: Data) {
        let len = data.len();
        self.clear(offset, len);
        self.len = self.len.max(offset.saturating_add(len));
        if len > 0 {
            let at = self.extents.partition_point(|e| e.offset < offset);
            self.extents.insert(at, Extent { offset, data });
        }
    }

    /// Makes a range zeros: drops, cuts or splits the extents in it.
    fn clear(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len);
        let first = self.extents.partition_point(|e| e.end() <= offset);
        let last = self.extents.partition_point(|e| e.offset < end);
        if first >= last {
            return;
        }
        let mut keep = Vec::new();
        if let Some(e) = self.extents.get(first).filter(|e| e.offset < offset) {
            keep.push(Extent {
                offset: e.offset,
                data: e.data.part(0, offset - e.offset),
            });
        }
        if let Some(e) = self.extents.get(last - 1).filter(|e| e.end() > end) {
            keep.push(Extent {
                offset: end,
                data: e.data.part(end - e.offset, u64::MAX),
            });
        }
        self.extents.splice(first..last, keep);
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_zeros() {
        let mut file = Extents::from_bytes(*b"ab");
        file.put_bytes(4, *b"cd");
        file.push_zeros(1);
        assert_eq!(file.to_vec().unwrap(), b"ab\0\0cd\0");
        assert_eq!(file.part(1, 4).to_vec().unwrap(), b"b\0\0c");
    }

    #[test]
    fn holes_of_a_file_are_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Extents::zeros(3 << 20);
        file.push_bytes(*b"data");
        file.push_zeros(2 << 20);
        for (name, file) in [
            ("sparse", file),
            ("hole", Extents::zeros(1 << 20)),
            ("empty", Extents::new()),
        ] {
            let path = dir.path().join(name);
            file.write_to(&path).unwrap();
            let sparse = Extents::from_sparse(Arc::new(FileBlob::open(&path).unwrap()));
            assert!(sparse.to_vec().unwrap() == file.to_vec().unwrap(), "{name}");
            let slices: u64 = sparse.extents().iter().map(|extent| extent.data().len()).sum();
            assert!(cfg!(not(target_os = "linux")) || slices <= 1 << 20, "{name}: {slices}");
        }
    }

    #[test]
    fn part_is_found_by_its_buffers_and_slices() {
        let mut part = Extents::zeros(3);
        part.push_bytes(*b"one");
        part.push_zeros(2);
        part.push_bytes(*b"two");
        let mut joined = Extents::from_bytes(*b"one");
        joined.push(&part);
        joined.push_bytes(*b"more");
        joined.push(&part);
        assert_eq!(joined.find(&part), Some(3));
        assert_eq!(joined.find(&part.part(3, 2)), Some(6), "start of an extent");
        assert_eq!(joined.find(&part.part(4, 2)), None, "from the middle of an extent on");
        assert_eq!(joined.part(4, 100).find(&part), Some(14));
        assert_eq!(joined.part(0, joined.len() - 1).part(4, 100).find(&part), None, "cut");
        assert_eq!(joined.find(&Extents::from_bytes(*b"one")), None, "other bytes");
        assert_eq!(joined.find(&Extents::zeros(2)), None);
        assert_eq!(Extents::new().find(&part), None);
        joined.put_bytes(5, *b"!");
        assert_eq!(joined.find(&part), Some(18), "the first is overwritten");
    }

    #[test]
    fn reading_beyond_the_end_fails() {
        let file = Extents::zeros(4);
        assert!(file.read_exact_at(&mut [0; 5], 0).is_err());
        assert!(file.read_exact_at(&mut [0; 1], u64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn writes_have_the_effect_that_they_have_on_a_buffer(writes in prop::collection::vec((0usize..200, prop::collection::vec(any::<u8>(), 0..50), any::<bool>()), 0..30)) {
            let mut model: Vec<u8> = Vec::new();
            let mut file = Extents::new();
            for (offset, bytes, zeros) in writes {
                let bytes = if zeros { vec![0; bytes.len()] } else { bytes };
                if model.len() < offset + bytes.len() {
                    model.resize(offset + bytes.len(), 0);
                }
                model[offset..offset + bytes.len()].copy_from_slice(&bytes);
                if zeros {
                    file.put(offset as u64, &Extents::zeros(bytes.len() as u64));
                } else {
                    file.put_bytes(offset as u64, bytes);
                }
            }
            prop_assert_eq!(file.len(), model.len() as u64);
            prop_assert_eq!(file.to_vec().unwrap(), model.clone());
            let half = model.len() / 2;
            prop_assert_eq!(file.part(half as u64, 7).to_vec().unwrap(), model[half..(half + 7).min(model.len())].to_vec());
            let mut all = Vec::new();
            io::Read::read_to_end(&mut file.reader(), &mut all).unwrap();
            prop_assert_eq!(all, model);
        }
    }
}
