//! Decompression of layers and Debian packages. The algorithm is detected from the first bytes, as
//! container runtimes do: media types are often wrong.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use deflate::{GzipReader, Recorded};
use extents::{Extents, FileBlob};
use tempfile::{SpooledData, SpooledTempFile};

use crate::diagnostic::size;

/// Maximum compression ratio beyond [`MIN_LIMIT`].
const MAX_RATIO: u64 = 200;
/// Number of bytes to which any input may expand.
const MIN_LIMIT: u64 = 1 << 30;
/// Number of bytes that are decompressed into memory; larger contents go to a temporary file.
const MAX_IN_MEMORY: usize = 64 << 20;

/// Returns the maximum decompressed length for a compressed length, both in bytes. gzip reaches a ratio
/// of 1032, zstd of many thousands, and real layers of about 10.
pub fn limit(compressed: u64) -> u64 {
    compressed.saturating_mul(MAX_RATIO).max(MIN_LIMIT)
}

/// Decompresses an input of `len` bytes into memory, or into a temporary file if the result is large.
///
/// # Errors
/// Read errors, unsupported or corrupt compression, and input that expands beyond its [`limit`].
pub fn to_extents(compressed: impl Read, len: u64) -> io::Result<Extents> {
    let limit = limit(len);
    let mut reader = reader(compressed)?.take(limit + 1);
    let mut spooled = SpooledTempFile::new(MAX_IN_MEMORY);
    if io::copy(&mut reader, &mut spooled)? > limit {
        return Err(io::Error::other(format!(
            "{} expand to more than {}",
            size(len),
            size(limit)
        )));
    }
    spooled.flush()?;
    Ok(match spooled.into_inner() {
        SpooledData::InMemory(bytes) => Extents::from_bytes(bytes.into_inner()),
        SpooledData::OnDisk(file) => Extents::from_blob(Arc::new(FileBlob::new(file)?)),
    })
}

/// Returns a reader of the decompressed bytes.
///
/// # Errors
/// Read errors, and unsupported compression.
pub fn reader<'a>(compressed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(Box::new(Reader::new(compressed)?))
}

/// Reader of the decompressed bytes.
pub enum Reader<'a, R> {
    /// gzip, with a record of its blocks.
    Gzip(Box<GzipReader<BufReader<R>>>),
    /// Another algorithm, or none.
    Other(Box<dyn Read + 'a>),
}

impl<'a, R: Read + 'a> Reader<'a, R> {
    /// Creates a reader.
    ///
    /// # Errors
    /// Read errors, and unsupported compression.
    pub fn new(compressed: R) -> io::Result<Self> {
        let mut compressed = BufReader::with_capacity(128 << 10, compressed);
        let start = std::io::BufRead::fill_buf(&mut compressed)?;
        Ok(Reader::Other(match start {
            [0x1f, 0x8b, ..] => return Ok(Reader::Gzip(Box::new(GzipReader::new(compressed)))),
            // A zstd frame, or a skippable one, as pzstd and zstd:chunked begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Box::new(Frames::new(compressed)),
            [b'B', b'Z', b'h', ..] => return Err(unsupported("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(lzma_rust2::XzReader::new(compressed, true)),
            _ => Box::new(compressed),
        }))
    }

    /// Returns the record of a gzip file, which must be the one that was read, to its end.
    pub fn into_recorded(self, file: Extents) -> Option<Recorded> {
        match self {
            Reader::Gzip(reader) => reader.into_recorded(file),
            Reader::Other(_) => None,
        }
    }
}

impl<R: Read> Read for Reader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Reader::Gzip(reader) => reader.read(buffer),
            Reader::Other(reader) => reader.read(buffer),
        }
    }
}

fn unsupported(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("it is compressed with {name}; use gzip, zstd, xz or no compression"),
    )
}

/// Returns the error of corrupt zstd data.
fn corrupt(reason: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the zstd data is corrupt: {reason}"),
    )
}

/// Returns the text of the innermost error: the decoder shows the others as Rust values.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Reader of consecutive zstd frames (RFC 8878, section 3).
struct Frames<R: Read> {
    decoder: ruzstd::decoding::FrameDecoder,
    source: BufReader<R>,
    open: bool,
}

impl<R: Read> Frames<R> {
    fn new(source: BufReader<R>) -> Self {
        Frames {
            decoder: ruzstd::decoding::FrameDecoder::new(),
            source,
            open: false,
        }
    }

    /// Begins the next frame. Returns false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
        loop {
            if std::io::BufRead::fill_buf(&mut self.source)?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.open = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut self.source.by_ref().take(u64::from(length)), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_))) => {
                    return Err(corrupt("other bytes follow the last frame"));
                }
                Err(error) => return Err(corrupt(&cause(&error))),
            }
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy;
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.open && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBytes(128 << 10))
                    .map_err(|error| corrupt(&cause(&error)))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            if self.decoder.is_finished() {
                self.open = false;
                let stored = self.decoder.get_checksum_from_data();
                if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
                    return Err(corrupt("wrong checksum"));
                }
            }
        }
    }
}
