//! Deflate blocks of content that partly comes from gzip files: their tokens are used again.
//!
//! ```text
//! content    | header |   file of a gzip file ..............................| header | small file |
//!            | search |  first 32 KiB: tokens  |  bits of the gzip file     | search |   tokens   |
//! ```
//!
//! A match reaches at most 32 KiB back. So 32 KiB after the start of a slice all matches stay within the slice,
//! and the bits of the original blocks remain valid. Before, the tokens are encoded again: a match that reaches
//! before the slice gets the distance at which its source lies now, or its bytes are searched for.

use crate::bits::BitWriter;
use crate::block::{self, Token};
use crate::inflate::{Count, Event, Header, Inflater, Sink, State};
use crate::record::{Recorded, last_steps};
use crate::{Error, MAX_MATCH, WINDOW, sync};

/// Least number of bytes whose bits are copied: a block's header takes about 80 bytes.
const MIN_COPY: u64 = 16 << 10;
/// Least number of bytes that zlib-rs compresses. Fewer are compressed by a search for the last match only.
const MIN_COMPRESS: usize = 4 << 10;
/// Least length of a match that is searched for.
const MIN_SEARCH: usize = 4;
/// Number of bits of a hash.
const HASH_BITS: u32 = 14;
/// Number of tokens in a block.
const BLOCK: usize = 16 << 10;

/// Part of a content.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Length in bytes.
    pub len: usize,
    /// Gzip file that contains the part, and the part's position in the content of the file.
    pub origin: Option<(&'a Recorded, u64)>,
}

/// Numbers of bytes of content, by what was done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Copied as bits of a gzip file.
    pub copied: u64,
    /// Encoded again from the tokens of a gzip file.
    pub encoded: u64,
    /// Compressed.
    pub compressed: u64,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Stats) {
        self.copied += other.copied;
        self.encoded += other.encoded;
        self.compressed += other.compressed;
    }
}

/// Encoder of contents, which reuses its memory. The result does not depend on those before.
#[derive(Debug)]
pub struct Encoder {
    tokens: Vec<Token>,
    table: Box<[u32; 1 << HASH_BITS]>,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder {
            tokens: Vec::with_capacity(BLOCK + MAX_MATCH as usize),
            table: Box::new([0; 1 << HASH_BITS]),
        }
    }
}

impl Encoder {
    /// Appends deflate blocks of `content` without its first `skip` bytes to `out`. They end at a byte, and
    /// none is final, so that others can follow. Matches may lie in the skipped bytes.
    ///
    /// The segments follow each other and cover the content, at most 2 GiB, with the skipped bytes.
    ///
    /// # Errors
    /// A gzip file that cannot be read or does not have the segment, and errors of the compressor.
    pub fn encode(
        &mut self,
        content: &[u8],
        skip: usize,
        segments: &[Segment<'_>],
        out: &mut Vec<u8>,
    ) -> Result<Stats, Error> {
        self.tokens.clear();
        self.table.fill(0);
        let mut run = Run {
            content,
            at: skip,
            block: skip,
            tokens: &mut self.tokens,
            table: &mut self.table,
            placed: Vec::new(),
            cursor: None,
            out: BitWriter::new(std::mem::take(out)),
            stats: Stats::default(),
        };
        let result = run.encode(skip, segments);
        let stats = run.stats;
        *out = run.out.out;
        result.map(|()| stats)
    }
}

/// Slice of a gzip file in the content.
struct Placed<'a> {
    file: &'a Recorded,
    /// Position in the content of the gzip file.
    position: u64,
    len: u64,
    /// Index in the new content.
    at: usize,
}

/// Place in a gzip file at which tokens were read last.
struct Cursor<'a> {
    file: &'a Recorded,
    inflater: Inflater<extents::Reader<'a>>,
    position: u64,
}

/// One content that is being encoded.
struct Run<'a> {
    content: &'a [u8],
    /// Index of the next byte to encode.
    at: usize,
    /// Index of the first byte of the tokens.
    block: usize,
    tokens: &'a mut Vec<Token>,
    /// Last index plus 1 of each hash of four bytes.
    table: &'a mut [u32; 1 << HASH_BITS],
    placed: Vec<Placed<'a>>,
    /// Files often follow each other in the new content as in the old one.
    cursor: Option<Cursor<'a>>,
    out: BitWriter,
    stats: Stats,
}

impl<'a> Run<'a> {
    fn encode(&mut self, skip: usize, segments: &[Segment<'a>]) -> Result<(), Error> {
        let mut start = 0;
        for part in segments.chunk_by(|a, b| a.origin.is_none() && b.origin.is_none()) {
            let len: usize = part.iter().map(|segment| segment.len).sum();
            let end = (start + len).min(self.content.len());
            if end > skip {
                match part {
                    [
                        Segment {
                            origin: Some((file, position)),
                            ..
                        },
                    ] => {
                        let slice = Placed {
                            file,
                            position: *position,
                            len: (end - start) as u64,
                            at: start,
                        };
                        self.reuse(slice)?;
                    }
                    _ => self.compress(end)?,
                }
            }
            start = end;
        }
        self.flush();
        if !self.out.is_aligned() {
            block::write_sync(&mut self.out);
        }
        self.out.align();
        Ok(())
    }

    /// Compresses the content up to `end`.
    fn compress(&mut self, end: usize) -> Result<(), Error> {
        let len = end - self.at;
        self.stats.compressed += len as u64;
        if len < MIN_COMPRESS {
            self.search(end);
            return Ok(());
        }
        self.flush();
        if !self.out.is_aligned() {
            block::write_sync(&mut self.out);
        }
        self.out.align();
        let before = self.content.get(self.at.saturating_sub(WINDOW)..self.at);
        let plain = self.content.get(self.at..end);
        sync::compress(
            before.unwrap_or_default(),
            plain.unwrap_or_default(),
            None,
            &mut self.out.out,
        )?;
        self.skip_to(end);
        Ok(())
    }

    /// Goes on at `at`, with no tokens left to write.
    fn skip_to(&mut self, at: usize) {
        self.at = at;
        self.block = at;
    }

    /// Writes the tokens as a block.
    fn flush(&mut self) {
        if self.block < self.at {
            let plain = self.content.get(self.block..self.at).unwrap_or_default();
            block::write(self.tokens, plain, &mut self.out);
        }
        self.tokens.clear();
        self.block = self.at;
    }

    /// Adds a token of `len` bytes.
    #[inline(always)]
    fn push(&mut self, token: Token, len: usize) {
        self.tokens.push(token);
        self.at += len;
        if self.tokens.len() >= BLOCK {
            self.flush();
        }
    }

    fn literals(&mut self, len: usize) {
        for _ in 0..len {
            let byte = self.content.get(self.at).copied().unwrap_or_default();
            self.push(Token::literal(byte), 1);
        }
    }

    /// Returns the entry of the table for the four bytes at an index.
    #[inline(always)]
    fn hash(&self, at: usize) -> Option<usize> {
        let bytes = self.content.get(at..)?.first_chunk::<MIN_SEARCH>()?;
        Some((u32::from_le_bytes(*bytes).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize)
    }

    #[inline(always)]
    fn remember(&mut self, at: usize) {
        if let Some(hash) = self.hash(at) {
            self.table[hash] = at as u32 + 1;
        }
    }

    /// Encodes the content up to `end` with the matches that the table finds.
    fn search(&mut self, end: usize) {
        while self.at < end {
            let at = self.at;
            let from = self
                .hash(at)
                .and_then(|hash| (self.table[hash] as usize).checked_sub(1));
            let len = from
                .filter(|from| at - from <= WINDOW)
                .map_or(0, |from| self.common(from, at, end));
            if let Some(from) = from.filter(|_| len >= MIN_SEARCH) {
                for index in at..at + len {
                    self.remember(index);
                }
                self.push(Token::copy(len as u32, (at - from) as u32), len);
            } else {
                self.remember(at);
                self.literals(1);
            }
        }
    }

    /// Returns the number of bytes that are equal from two indices on, where the second ends at `end`.
    fn common(&self, from: usize, at: usize, end: usize) -> usize {
        let end = end.min(at + MAX_MATCH as usize);
        let (Some(old), Some(new)) = (self.content.get(from..), self.content.get(at..end)) else {
            return 0;
        };
        // Eight bytes at a time, then those of the first word that differs.
        let words = old.as_chunks::<8>().0.iter().zip(new.as_chunks::<8>().0);
        let same = 8 * words.take_while(|(old, new)| old == new).count();
        let rest = old.iter().zip(new).skip(same);
        same + rest.take_while(|(old, new)| old == new).count()
    }

    /// Encodes a match of a gzip file, whose source begins at `source` in the content of that file. The slice
    /// is the one that the match is in.
    fn rewrite(&mut self, len: usize, distance: u32, source: Option<u64>, slice: &Placed<'a>) {
        if len < 3 {
            self.literals(len);
            return;
        }
        let end = self.at + len;
        let from = match source {
            Some(source) if source >= slice.position => self.at.checked_sub(distance as usize),
            Some(source) => self.place_of(slice.file, source, len as u64),
            None => None,
        };
        // Whatever the gzip file says, the content decides.
        let same = |from: usize| self.content.get(from..from + len) == self.content.get(self.at..end);
        match from.filter(|from| *from < self.at && self.at - from <= WINDOW && same(*from)) {
            Some(from) => {
                self.remember(self.at);
                self.push(Token::copy(len as u32, (self.at - from) as u32), len);
            }
            None => self.search(end),
        }
    }

    /// Returns the index at which the content has a slice of a gzip file, if that is within reach.
    fn place_of(&self, file: &Recorded, source: u64, len: u64) -> Option<usize> {
        let near = self.placed.iter().rev();
        let near = near.take_while(|slice| slice.at as u64 + slice.len + WINDOW as u64 >= self.at as u64);
        near.filter(|slice| std::ptr::eq(slice.file, file))
            .find(|slice| slice.position <= source && source + len <= slice.position + slice.len)
            .map(|slice| slice.at + (source - slice.position) as usize)
    }

    /// Encodes a slice of a gzip file, from `self.at` on.
    fn reuse(&mut self, slice: Placed<'a>) -> Result<(), Error> {
        let file = slice.file;
        let start = slice.position + (self.at - slice.at) as u64;
        let end = slice.position + slice.len;
        let mut cursor = self.cursor_before(file, start)?;
        let body = start.max(slice.position + WINDOW as u64);
        let copies = end >= body + MIN_COPY;
        let until = if copies { body } else { end };
        let mut rewrite = Rewrite {
            run: self,
            slice: &slice,
            position: cursor.position,
            start,
            end,
        };
        while rewrite.position < until {
            if cursor.inflater.step(&mut rewrite, until)? == Event::End {
                return Err(Error::Mismatch);
            }
        }
        cursor.position = rewrite.position;
        let position = rewrite.position.min(end);
        self.stats.encoded += position - start;
        if position < end {
            self.flush();
            self.copy(&slice, cursor.inflater, position, end)?;
            self.stats.copied += end - position;
        } else {
            self.cursor = Some(cursor);
        }
        self.placed.push(slice);
        Ok(())
    }

    /// Returns the nearest place at or before a position.
    fn cursor_before(&mut self, file: &'a Recorded, position: u64) -> Result<Cursor<'a>, Error> {
        let point = file.before(position)?;
        let near = self
            .cursor
            .take()
            .filter(|cursor| std::ptr::eq(cursor.file, file) && (point.position..=position).contains(&cursor.position));
        match near {
            Some(cursor) => Ok(cursor),
            None => Ok(Cursor {
                file,
                inflater: file.open(point)?,
                position: point.position,
            }),
        }
    }

    /// Copies the bits of a slice from a token on.
    fn copy(
        &mut self,
        slice: &Placed<'a>,
        mut inflater: Inflater<extents::Reader<'a>>,
        mut position: u64,
        end: u64,
    ) -> Result<(), Error> {
        let file = slice.file;
        let index = |position: u64| slice.at + (position - slice.position) as usize;
        // The last block of the output has no end yet.
        let mut open = false;
        let mut cut = None;
        while position < end {
            if let State::Codes(header) = inflater.state
                && !open
            {
                self.copy_header(file, &header)?;
                open = true;
            }
            if matches!(inflater.state, State::Codes(_) | State::Block)
                && let Some(point) = file.plain_until(inflater.bit(), end)
            {
                self.copy_bits(file, inflater.bit(), point.bit)?;
                position = point.position;
                open = point.is_within_block();
                inflater = file.open(point)?;
                continue;
            }
            match inflater.state {
                State::Codes(_) => {
                    let from = inflater.bit();
                    let mut last = Last { position, token: None };
                    let event = inflater.step(&mut last, last_steps(end).max(position + 1))?;
                    if last.position > end {
                        cut = last.token;
                        break;
                    }
                    self.copy_bits(file, from, inflater.bit())?;
                    position = last.position;
                    open = event != Event::BlockEnd;
                }
                State::Stored(..) => {
                    let mut count = Count(position);
                    inflater.step(&mut count, end)?;
                    let bytes = self.content.get(index(position)..index(count.0)).unwrap_or_default();
                    block::write_stored(bytes, &mut self.out);
                    position = count.0;
                }
                _ => {
                    if inflater.step(&mut Count(position), end)? == Event::End {
                        return Err(Error::Mismatch);
                    }
                }
            }
        }
        if open {
            let code = inflater.tables.end;
            self.out.put(u64::from(code.bits), u32::from(code.len));
        }
        self.skip_to(index(position));
        if let Some((_, distance)) = cut {
            let source = position.checked_sub(u64::from(distance));
            self.rewrite((end - position) as usize, distance, source, slice);
        }
        Ok(())
    }

    /// Copies the header of a block that is not the last.
    fn copy_header(&mut self, file: &Recorded, header: &Header) -> Result<(), Error> {
        self.out.put(0, 1);
        self.copy_bits(file, header.start + 1, header.end)
    }

    fn copy_bits(&mut self, file: &Recorded, from: u64, to: u64) -> Result<(), Error> {
        file.bits(from..to, |bytes, range| self.out.bits(bytes, range))
    }
}

/// Sink that encodes tokens again.
struct Rewrite<'r, 'a> {
    run: &'r mut Run<'a>,
    slice: &'r Placed<'a>,
    position: u64,
    /// Range of positions to encode. Tokens are cut there.
    start: u64,
    end: u64,
}

impl Rewrite<'_, '_> {
    /// Returns the number of bytes of a token that are to be encoded, and goes on.
    #[inline(always)]
    fn cut(&mut self, len: u64) -> usize {
        let start = self.position.max(self.start);
        self.position += len;
        self.position.min(self.end).saturating_sub(start) as usize
    }
}

impl Sink for Rewrite<'_, '_> {
    #[inline(always)]
    fn position(&self) -> u64 {
        self.position
    }

    #[inline(always)]
    fn literal(&mut self, _byte: u8) {
        let len = self.cut(1);
        self.run.literals(len);
    }

    #[inline(always)]
    fn copy(&mut self, len: u32, distance: u32) {
        let start = self.position.max(self.start);
        let len = self.cut(u64::from(len));
        if len > 0 {
            let source = start.checked_sub(u64::from(distance));
            self.run.rewrite(len, distance, source, self.slice);
        }
    }

    fn stored(&mut self, bytes: &[u8]) {
        let len = self.cut(bytes.len() as u64);
        self.run.search(self.run.at + len);
    }
}

/// Sink that keeps the last token.
struct Last {
    position: u64,
    /// Length and distance of a match.
    token: Option<(u32, u32)>,
}

impl Sink for Last {
    #[inline(always)]
    fn position(&self) -> u64 {
        self.position
    }

    #[inline(always)]
    fn literal(&mut self, _byte: u8) {
        self.position += 1;
        self.token = None;
    }

    #[inline(always)]
    fn copy(&mut self, len: u32, distance: u32) {
        self.position += u64::from(len);
        self.token = Some((len, distance));
    }

    fn stored(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
    }
}
