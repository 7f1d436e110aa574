//! Gzip files with a record of their blocks, so that they can be read from the middle.
//!
//! ```text
//! file     | header | block | block | block ............... | trailer | header | block ...
//!                   ^ checkpoint    ^ checkpoint  ^ checkpoint within the block
//! content           0               40 KiB        104 KiB
//! ```
//!
//! Tokens can be read from a checkpoint on without the content before it, and the bits between two
//! checkpoints can be copied without being read if the span between them is *plain*: neither stored blocks,
//! which are aligned to bytes, nor the final block of a member begin in it.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use extents::Extents;

use crate::inflate::{Count, Event, Inflater, Kind, Sink, State};
use crate::{Error, MAX_MATCH};

/// Least content between two checkpoints, in bytes, so that small blocks do not make the record large.
const MIN_SPAN: u64 = 8 << 10;
/// Content after which a block gets another checkpoint, in bytes.
const MAX_SPAN: u64 = 32 << 10;
/// Bits after which a checkpoint follows whatever the content, since empty blocks have none.
const MAX_BITS: u64 = 8 << 20;

/// Place from which tokens can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkpoint {
    /// Offset of the next bit to read in the file.
    pub bit: u64,
    /// Offset of the header of the block that the bit is in, in bits; `bit` if a block begins there.
    pub block: u64,
    /// Position in the content.
    pub position: u64,
    /// The span up to the next checkpoint is plain.
    plain: bool,
}

impl Checkpoint {
    /// Returns true if the checkpoint is within a block.
    pub fn is_within_block(&self) -> bool {
        self.block < self.bit
    }
}

/// Gzip file with a record of its blocks.
#[derive(Debug)]
pub struct Recorded {
    file: Extents,
    checkpoints: Vec<Checkpoint>,
    len: u64,
}

/// Builder of a record, while a file is inflated.
#[derive(Default)]
pub(crate) struct Recorder {
    checkpoints: Vec<Checkpoint>,
}

impl Recorder {
    /// Lets an inflater go on to its next event, as [`Inflater::step`] does, and records where it is.
    ///
    /// # Errors
    /// The errors of [`Inflater::step`].
    pub fn step<R: Read>(
        &mut self,
        inflater: &mut Inflater<R>,
        sink: &mut impl Sink,
        stop: u64,
    ) -> Result<Event, Error> {
        let mut stop = stop;
        match inflater.state {
            State::Block => {
                let (bit, position) = (inflater.bit(), sink.position());
                let due = self
                    .checkpoints
                    .last()
                    .is_none_or(|last| position - last.position >= MIN_SPAN || bit - last.bit >= MAX_BITS);
                if due {
                    self.push(bit, bit, position);
                }
            }
            State::Codes(header) => {
                if sink.position() >= self.next() {
                    self.push(inflater.bit(), header.start, sink.position());
                }
                stop = stop.min(self.next());
            }
            _ => {}
        }
        let event = inflater.step(sink, stop)?;
        let interrupts = match event {
            Event::Block(header) => header.is_final || header.kind == Kind::Stored,
            Event::MemberEnd { .. } => true,
            _ => false,
        };
        if interrupts && let Some(last) = self.checkpoints.last_mut() {
            last.plain = false;
        }
        Ok(event)
    }

    /// Returns the record of a file with a content of `len` bytes.
    pub fn finish(mut self, file: Extents, len: u64) -> Recorded {
        self.checkpoints.shrink_to_fit();
        Recorded {
            file,
            checkpoints: self.checkpoints,
            len,
        }
    }

    fn push(&mut self, bit: u64, block: u64, position: u64) {
        self.checkpoints.push(Checkpoint {
            bit,
            block,
            position,
            plain: true,
        });
    }

    /// Returns the position at which the next checkpoint within a block is due.
    fn next(&self) -> u64 {
        self.checkpoints.last().map_or(0, |last| last.position + MAX_SPAN)
    }
}

impl Recorded {
    /// Reads a gzip file of any number of members, without its content: checksums are not compared.
    ///
    /// # Errors
    /// Data that zlib refuses, bytes after the last member, and a file that cannot be read.
    pub fn scan(file: Extents) -> Result<Recorded, Error> {
        let mut recorder = Recorder::default();
        let mut count = Count(0);
        let mut inflater = Inflater::new(file.reader());
        while recorder.step(&mut inflater, &mut count, u64::MAX)? != Event::End {}
        drop(inflater);
        Ok(recorder.finish(file, count.0))
    }

    /// Returns the length of the content in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the content is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the gzip file.
    pub fn file(&self) -> &Extents {
        &self.file
    }

    /// Returns the last checkpoint at or before a position.
    pub(crate) fn before(&self, position: u64) -> Result<&Checkpoint, Error> {
        let index = self.checkpoints.partition_point(|point| point.position <= position);
        let point = index.checked_sub(1).and_then(|index| self.checkpoints.get(index));
        point.ok_or(Error::Mismatch)
    }

    /// Returns an inflater at a checkpoint.
    pub(crate) fn open(&self, point: &Checkpoint) -> Result<Inflater<extents::Reader<'_>>, Error> {
        let mut inflater = Inflater::at_block(self.reader(point.block)?, point.block)?;
        if point.is_within_block() {
            inflater.step(&mut Count(0), 0)?;
            inflater.jump(self.reader(point.bit)?, point.bit)?;
        }
        Ok(inflater)
    }

    /// Returns a reader whose next byte is the one of a bit.
    fn reader(&self, bit: u64) -> Result<extents::Reader<'_>, Error> {
        let mut reader = self.file.reader();
        reader.seek(SeekFrom::Start(bit / 8))?;
        Ok(reader)
    }

    /// Returns the last checkpoint at or before `end` such that the bits from `bit` up to it are plain, if there
    /// is one after `bit`.
    pub(crate) fn plain_until(&self, bit: u64, end: u64) -> Option<&Checkpoint> {
        let next = self.checkpoints.partition_point(|point| point.bit <= bit);
        let last = self
            .checkpoints
            .get(next.checked_sub(1)?..)?
            .windows(2)
            .take_while(|pair| matches!(pair, [from, to] if from.plain && to.position <= end));
        let count = last.count();
        self.checkpoints.get(next + count - 1).filter(|_| count > 0)
    }

    /// Calls `take` with the bytes that contain a range of bits.
    pub(crate) fn bits(&self, range: Range<u64>, mut take: impl FnMut(&[u8], Range<u64>)) -> Result<(), Error> {
        let mut buffer = [0u8; 16 << 10];
        let mut at = range.start;
        while at < range.end {
            let first = at / 8;
            let len = (range.end.div_ceil(8) - first).min(buffer.len() as u64);
            let bytes = buffer.get_mut(..len as usize).unwrap_or_default();
            self.file.read_exact_at(bytes, first)?;
            let end = range.end.min((first + len) * 8);
            take(bytes, at - first * 8..end - first * 8);
            at = end;
        }
        Ok(())
    }
}

/// Returns the position from which tokens are taken one by one, so that none reaches beyond `end`
/// unseen.
pub(crate) fn last_steps(end: u64) -> u64 {
    end.saturating_sub(u64::from(MAX_MATCH))
}
