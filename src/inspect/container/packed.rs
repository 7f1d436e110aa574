//! Disks whose pieces are compressed one by one, and decompressed when they are read.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use extents::{Blob, Extents, Slice};

use crate::codec::decompress;

/// How many bytes of pieces that were read last are kept: a filesystem has its tables in one place
/// and its files in another.
const KEPT: u64 = 32 << 20;

/// How pieces are compressed.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// RFC 1951.
    Deflate,
    /// RFC 1950.
    Zlib,
    /// RFC 8878.
    Zstd,
}

/// A piece: where it is on the disk, and where its compressed bytes are.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// In bytes of the disk.
    pub at: u64,
    /// In bytes of the file.
    pub from: u64,
    /// How many bytes it has at most, compressed.
    pub len: u64,
}

/// Lays pieces of `unit` bytes on a disk, which are in the order of the disk.
pub fn put(disk: &mut Extents, content: &Extents, unit: u64, how: How, pieces: Vec<Piece>) {
    let places: Vec<u64> = pieces.iter().map(|piece| piece.at).collect();
    let len = disk.len();
    let blob = Arc::new(Packed {
        content: content.clone(),
        len,
        unit,
        how,
        pieces,
        last: Mutex::new(VecDeque::new()),
    });
    for at in places {
        if let Some(slice) = Slice::new(blob.clone(), at, unit.min(len.saturating_sub(at))) {
            disk.put(at, &Extents::from_slice(slice));
        }
    }
}

struct Packed {
    content: Extents,
    /// That of the disk.
    len: u64,
    unit: u64,
    how: How,
    pieces: Vec<Piece>,
    /// The pieces that were read last, by where they are on the disk.
    last: Mutex<VecDeque<(u64, Vec<u8>)>>,
}

impl Debug for Packed {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Packed({} pieces of {} bytes)", self.pieces.len(), self.unit)
    }
}

impl Packed {
    fn unpack(&self, at: u64) -> io::Result<Vec<u8>> {
        let found = self.pieces.binary_search_by_key(&at, |piece| piece.at);
        let piece = found.ok().and_then(|index| self.pieces.get(index));
        let piece = piece.ok_or(io::ErrorKind::UnexpectedEof)?;
        let packed = self.content.part(piece.from, piece.len);
        let reader: Box<dyn Read> = match self.how {
            How::Deflate => Box::new(flate2::read::DeflateDecoder::new(packed.reader())),
            How::Zlib => Box::new(flate2::read::ZlibDecoder::new(packed.reader())),
            How::Zstd => decompress::reader(packed.reader())?,
        };
        let mut bytes = Vec::new();
        // What follows in the last sector is no part of it: a reader may stumble over that.
        let read = reader.take(self.unit).read_to_end(&mut bytes);
        if bytes.len() as u64 == self.unit || (read.is_ok() && at.saturating_add(bytes.len() as u64) >= self.len) {
            return Ok(bytes);
        }
        let error = read.err().map(|error| format!(": {error}")).unwrap_or_default();
        Err(io::Error::other(format!(
            "what is compressed at byte {} has {} of {} bytes{error}",
            piece.from,
            bytes.len(),
            self.unit
        )))
    }
}

impl Blob for Packed {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut buf, mut offset) = (buf, offset);
        while !buf.is_empty() {
            let at = offset.saturating_sub(offset % self.unit.max(1));
            let known = last.iter().position(|(known, _)| *known == at);
            let bytes = match known.and_then(|index| last.remove(index)) {
                Some((_, bytes)) => bytes,
                None => self.unpack(at)?,
            };
            let skip = usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
            let rest = bytes.get(skip..).unwrap_or_default();
            let (head, tail) = buf.split_at_mut(rest.len().min(buf.len()));
            if head.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.copy_from_slice(rest.get(..head.len()).unwrap_or_default());
            offset = offset.saturating_add(head.len() as u64);
            buf = tail;
            last.push_front((at, bytes));
            let most = usize::try_from(KEPT / self.unit.max(1)).unwrap_or(usize::MAX);
            last.truncate(most.max(1));
        }
        Ok(())
    }
}
