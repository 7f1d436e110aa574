//! The ways in which layers and Debian packages are compressed, told apart by its first bytes, as every
//! runtime does: media types are often wrong.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use extents::{Extents, FileBlob, Slice};
use flate2::bufread::MultiGzDecoder;
use tempfile::{SpooledData, SpooledTempFile};

/// What is compressed may become this many times larger...
const LARGEST_RATIO: u64 = 200;
/// ... and this many bytes in any case.
const ALWAYS: u64 = 1 << 30;
/// How much is decompressed into memory, in bytes; what is more goes to a temporary file.
const IN_MEMORY: usize = 64 << 20;

/// How many bytes so many compressed ones may become: gzip reaches a ratio of 1032, zstd one of
/// many thousands, and real layers one of about 10.
pub fn limit(compressed: u64) -> u64 {
    compressed.saturating_mul(LARGEST_RATIO).max(ALWAYS)
}

/// All of it decompressed.
///
/// # Errors
/// Those of [`reader`], and what expands beyond its [`limit`].
pub fn whole(compressed: impl Read, len: u64) -> io::Result<Extents> {
    let limit = limit(len);
    let mut reader = reader(compressed)?.take(limit + 1);
    let mut spooled = SpooledTempFile::new(IN_MEMORY);
    if io::copy(&mut reader, &mut spooled)? > limit {
        return Err(io::Error::other(format!(
            "{len} bytes expand to more than {limit}, which no real ones do"
        )));
    }
    spooled.flush()?;
    Ok(match spooled.into_inner() {
        SpooledData::InMemory(bytes) => Extents::from_bytes(bytes.into_inner()),
        SpooledData::OnDisk(file) => Extents::from_slice(Slice::whole(Arc::new(FileBlob::new(file)?))),
    })
}

/// A reader of the decompressed bytes.
///
/// # Errors
/// What reading fails with, and compression that is not known.
pub fn reader<'a>(compressed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut compressed = BufReader::with_capacity(128 << 10, compressed);
    let start = std::io::BufRead::fill_buf(&mut compressed)?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(compressed)),
        // A zstd frame, or a skippable one, with which pzstd and zstd:chunked begin.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Box::new(Frames::new(compressed)),
        [b'B', b'Z', b'h', ..] => return Err(unsupported("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(lzma_rust2::XzReader::new(compressed, true)),
        _ => Box::new(compressed),
    })
}

fn unsupported(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("it is compressed with {name}; gzip, zstd, xz and plain tars are read"),
    )
}

/// The zstd frames of a stream, one after the other (RFC 8878, section 3).
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

    /// Begins the next frame; says whether there is one.
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
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
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
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            if self.decoder.is_finished() {
                self.open = false;
                let told = self.decoder.get_checksum_from_data();
                if told.is_some() && told != self.decoder.get_calculated_checksum() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a zstd checksum is wrong"));
                }
            }
        }
    }
}
