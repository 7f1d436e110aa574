//! Decompression of gzip files.

use std::io::{self, Read};

use extents::Extents;

use crate::inflate::{Event, Inflater, Sink};
use crate::record::{Recorded, Recorder};
use crate::{Error, WINDOW};

/// Number of bytes that are decompressed at once.
const OUTPUT: usize = 128 << 10;

/// Reader of the content of a gzip file of any number of members. It keeps a record of the blocks.
///
/// # Errors
/// [`Error`], in an [`io::Error`]: data that zlib refuses, wrong checksums, bytes after the last member, and an
/// input that cannot be read.
pub struct GzipReader<R> {
    inflater: Inflater<R>,
    window: Window,
    recorder: Recorder,
    /// Number of bytes in the window that were read.
    read: usize,
    /// Number of bytes in the window that the checksum covers.
    summed: usize,
    sum: crc32fast::Hasher,
    /// Position at which the member begins.
    member: u64,
    ended: bool,
    /// Error to return when what was decompressed before it has been read.
    failure: Option<Error>,
}

impl<R: Read> GzipReader<R> {
    /// Creates a reader of a gzip file.
    pub fn new(input: R) -> Self {
        GzipReader {
            inflater: Inflater::new(input),
            window: Window {
                bytes: Vec::with_capacity(WINDOW + OUTPUT + 512),
                start: 0,
            },
            recorder: Recorder::default(),
            read: 0,
            summed: 0,
            sum: crc32fast::Hasher::new(),
            member: 0,
            ended: false,
            failure: None,
        }
    }

    /// Returns the record of the file, which must be the one that was read. None before its end was read.
    pub fn into_recorded(self, file: Extents) -> Option<Recorded> {
        let len = self.window.position();
        self.ended.then(|| self.recorder.finish(file, len))
    }

    /// Decompresses until there is something to read, or the file ends.
    fn fill(&mut self) -> Result<(), Error> {
        if self.window.bytes.len() >= WINDOW + OUTPUT {
            let old = self.window.bytes.len() - WINDOW;
            self.window.bytes.drain(..old);
            self.window.start += old as u64;
            (self.read, self.summed) = (WINDOW, WINDOW);
        }
        let stop = self.window.start + (WINDOW + OUTPUT) as u64;
        while self.window.position() < stop {
            match self.recorder.step(&mut self.inflater, &mut self.window, stop)? {
                Event::Member => self.member = self.window.position(),
                Event::MemberEnd { crc, len } => {
                    self.add_to_sum();
                    if std::mem::take(&mut self.sum).finalize() != crc {
                        return Err(Error::Invalid("wrong checksum"));
                    }
                    if (self.window.position() - self.member) as u32 != len {
                        return Err(Error::Invalid("wrong length"));
                    }
                }
                Event::End => {
                    self.ended = true;
                    break;
                }
                Event::Block(_) | Event::BlockEnd | Event::Stop => {}
            }
        }
        self.add_to_sum();
        Ok(())
    }

    fn add_to_sum(&mut self) {
        self.sum
            .update(self.window.bytes.get(self.summed..).unwrap_or_default());
        self.summed = self.window.bytes.len();
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.window.bytes.len() && !self.ended && !buffer.is_empty() {
            if self.failure.is_none() {
                self.failure = self.fill().err();
            }
            if let Some(failure) = &mut self.failure
                && self.read == self.window.bytes.len()
            {
                // Whoever reads on finds no end.
                return Err(std::mem::replace(failure, Error::Truncated).into());
            }
        }
        let mut ready = self.window.bytes.get(self.read..).unwrap_or_default();
        let len = ready.read(buffer)?;
        self.read += len;
        Ok(len)
    }
}

/// Sink that keeps what matches need.
struct Window {
    bytes: Vec<u8>,
    /// Position of the first of `bytes`.
    start: u64,
}

impl Sink for Window {
    #[inline(always)]
    fn position(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    #[inline(always)]
    fn copy(&mut self, len: u32, distance: u32) {
        let (len, distance) = (len as usize, distance as usize);
        let from = self.bytes.len() - distance;
        if distance >= len {
            self.bytes.extend_from_within(from..from + len);
            return;
        }
        // The match overlaps itself: what was copied doubles.
        let end = self.bytes.len() + len;
        while self.bytes.len() < end {
            let take = (end - self.bytes.len()).min(self.bytes.len() - from);
            self.bytes.extend_from_within(from..from + take);
        }
    }

    fn stored(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}
