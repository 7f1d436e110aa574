//! Inflating of gzip files, token by token.

use std::io::Read;

use crate::Error;
use crate::bits::BitReader;
use crate::huffman::{END, INVALID, LITERAL, Tables};

/// Receiver of tokens.
pub(crate) trait Sink {
    /// Returns the number of bytes that were decompressed, over all members.
    fn position(&self) -> u64;
    /// Takes a literal.
    fn literal(&mut self, byte: u8);
    /// Takes a match of 3 to 258 bytes, at most 32 KiB behind the position and within the member.
    fn copy(&mut self, len: u32, distance: u32);
    /// Takes bytes of a stored block.
    fn stored(&mut self, bytes: &[u8]);
}

/// Sink that counts only.
pub(crate) struct Count(pub u64);

impl Sink for Count {
    #[inline(always)]
    fn position(&self) -> u64 {
        self.0
    }
    #[inline(always)]
    fn literal(&mut self, _byte: u8) {
        self.0 += 1;
    }
    #[inline(always)]
    fn copy(&mut self, len: u32, _distance: u32) {
        self.0 += u64::from(len);
    }
    #[inline(always)]
    fn stored(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
}

/// Kind of a block (RFC 1951, section 3.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No compression.
    Stored,
    /// Compressed with fixed codes.
    Fixed,
    /// Compressed with codes of its own.
    Dynamic,
}

/// Header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Offset of the header in the file, in bits.
    pub start: u64,
    /// Offset of the first code or stored byte, in bits.
    pub end: u64,
    pub kind: Kind,
    /// The block is the last of its member.
    pub is_final: bool,
}

/// State of an [`Inflater`]: what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Header of a member, or the end of the file if it is not the first.
    Member { first: bool },
    /// Header of a block.
    Block,
    /// Codes of a block.
    Codes(Header),
    /// Bytes of a stored block: the number of those left.
    Stored(Header, u32),
    /// Checksum and length of a member.
    Trailer,
    /// End of the file.
    End,
}

/// Place at which an [`Inflater`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// After the header of a member.
    Member,
    /// After the header of a block.
    Block(Header),
    /// After a block.
    BlockEnd,
    /// After a token at or beyond the position to stop at.
    Stop,
    /// After a member with this checksum and this length modulo 2^32.
    MemberEnd { crc: u32, len: u32 },
    /// At the end of the file.
    End,
}

/// Reader of the tokens of a gzip file.
pub(crate) struct Inflater<R> {
    bits: BitReader<R>,
    pub tables: Tables,
    pub state: State,
    /// Position at which the member begins.
    member: u64,
}

impl<R: Read> Inflater<R> {
    /// Starts at the first member.
    pub fn new(input: R) -> Self {
        Inflater {
            bits: BitReader::new(input, 0),
            tables: Tables::new(),
            state: State::Member { first: true },
            member: 0,
        }
    }

    /// Starts at the header of a block, after `bit` bits of the file, with an input whose next byte is the one
    /// of that bit.
    ///
    /// # Errors
    /// The file cannot be read or ends there.
    pub fn at_block(input: R, bit: u64) -> Result<Self, Error> {
        let mut bits = BitReader::new(input, bit / 8);
        bits.take((bit % 8) as u32)?;
        Ok(Inflater {
            bits,
            tables: Tables::new(),
            state: State::Block,
            member: 0,
        })
    }

    /// Goes on at another bit of the same block, with an input whose next byte is the one of that bit.
    ///
    /// # Errors
    /// The file cannot be read or ends there.
    pub fn jump(&mut self, input: R, bit: u64) -> Result<(), Error> {
        self.bits = BitReader::new(input, bit / 8);
        self.bits.take((bit % 8) as u32)?;
        Ok(())
    }

    /// Returns the offset of the next bit in the file.
    pub fn bit(&self) -> u64 {
        self.bits.position()
    }

    /// Goes on to the next event. Tokens are taken until the position of the sink is `stop` or more.
    ///
    /// # Errors
    /// Damaged data, and an input that cannot be read.
    pub fn step(&mut self, sink: &mut impl Sink, stop: u64) -> Result<Event, Error> {
        match self.state {
            State::Member { first } => {
                if !self.member_header(first)? {
                    self.state = State::End;
                    return Ok(Event::End);
                }
                self.member = sink.position();
                self.state = State::Block;
                Ok(Event::Member)
            }
            State::Block => {
                let header = self.block_header()?;
                Ok(Event::Block(header))
            }
            State::Codes(header) => {
                if !self.tokens(sink, stop)? {
                    return Ok(Event::Stop);
                }
                self.end_block(header)
            }
            State::Stored(header, left) => {
                if left == 0 {
                    return self.end_block(header);
                }
                let wanted = u64::from(left).min(stop.saturating_sub(sink.position()));
                if wanted == 0 {
                    return Ok(Event::Stop);
                }
                let bytes = self.bits.bytes(wanted as usize)?;
                sink.stored(bytes);
                self.state = State::Stored(header, left - bytes.len() as u32);
                Ok(Event::Stop)
            }
            State::Trailer => {
                self.bits.align()?;
                let crc = self.bits.take(32)?;
                let len = self.bits.take(32)?;
                self.state = State::Member { first: false };
                Ok(Event::MemberEnd { crc, len })
            }
            State::End => Ok(Event::End),
        }
    }

    fn end_block(&mut self, header: Header) -> Result<Event, Error> {
        self.state = if header.is_final { State::Trailer } else { State::Block };
        Ok(Event::BlockEnd)
    }

    /// Reads the header of a member (RFC 1952, section 2.3). Returns false at the end of the file.
    fn member_header(&mut self, first: bool) -> Result<bool, Error> {
        let damaged = Err(Error::Invalid("no gzip header"));
        let mut sum = crc32fast::Hasher::new();
        let mut start = [0u8; 10];
        for (at, byte) in start.iter_mut().enumerate() {
            *byte = match self.bits.byte()? {
                Some(byte) => byte,
                None if at == 0 && !first => return Ok(false),
                None => return Err(Error::Truncated),
            };
        }
        sum.update(&start);
        let [0x1f, 0x8b, 8, flags, ..] = start else {
            return damaged;
        };
        if flags & 0xe0 != 0 {
            return Err(Error::Invalid("reserved flags in the gzip header"));
        }
        let mut next = || -> Result<u8, Error> {
            let byte = self.bits.byte()?.ok_or(Error::Truncated)?;
            sum.update(&[byte]);
            Ok(byte)
        };
        if flags & 4 != 0 {
            let len = u16::from_le_bytes([next()?, next()?]);
            for _ in 0..len {
                next()?;
            }
        }
        for flag in [8, 16] {
            while flags & flag != 0 && next()? != 0 {}
        }
        if flags & 2 != 0 {
            let found = sum.finalize() & 0xffff;
            if self.bits.take(16)? != found {
                return Err(Error::Invalid("wrong checksum of the gzip header"));
            }
        }
        Ok(true)
    }

    fn block_header(&mut self) -> Result<Header, Error> {
        let start = self.bit();
        let is_final = self.bits.take(1)? == 1;
        let kind = match self.bits.take(2)? {
            0 => Kind::Stored,
            1 => Kind::Fixed,
            2 => Kind::Dynamic,
            _ => return Err(Error::Invalid("unknown kind of block")),
        };
        let mut header = Header {
            start,
            end: 0,
            kind,
            is_final,
        };
        let mut stored = 0;
        match kind {
            Kind::Stored => {
                self.bits.align()?;
                stored = self.bits.take(16)?;
                if self.bits.take(16)? != stored ^ 0xffff {
                    return Err(Error::Invalid("wrong length of a stored block"));
                }
            }
            Kind::Fixed => self.tables.set_fixed()?,
            Kind::Dynamic => self.tables.read(&mut self.bits)?,
        }
        header.end = self.bit();
        self.state = match kind {
            Kind::Stored => State::Stored(header, stored),
            _ => State::Codes(header),
        };
        Ok(header)
    }

    /// Takes tokens. Returns true at the end of the block.
    fn tokens(&mut self, sink: &mut impl Sink, stop: u64) -> Result<bool, Error> {
        let (bits, tables) = (&mut self.bits, &self.tables);
        while sink.position() < stop {
            bits.refill()?;
            let mut entry = tables.literal(bits.peek());
            if entry & LITERAL != 0 {
                bits.consume(entry & 15)?;
                sink.literal((entry >> 16) as u8);
                // At most 15 of 56 bits are used, and a token takes 48 at most.
                if sink.position() >= stop {
                    return Ok(false);
                }
                entry = tables.literal(bits.peek());
                if entry & LITERAL != 0 {
                    bits.consume(entry & 15)?;
                    sink.literal((entry >> 16) as u8);
                    continue;
                }
                if bits.count() < 48 {
                    bits.refill()?;
                    entry = tables.literal(bits.peek());
                }
            }
            bits.consume(entry & 15)?;
            if entry & (END | INVALID) != 0 {
                if entry & END != 0 {
                    return Ok(true);
                }
                return Err(Error::Invalid("unassigned code of a literal or length"));
            }
            let extra = entry >> 4 & 15;
            let len = (entry >> 16) + (bits.peek() as u32 & ((1 << extra) - 1));
            bits.consume(extra)?;
            let entry = tables.distance(bits.peek());
            bits.consume(entry & 15)?;
            if entry & INVALID != 0 {
                return Err(Error::Invalid("unassigned code of a distance"));
            }
            let extra = entry >> 4 & 15;
            let distance = (entry >> 16) + (bits.peek() as u32 & ((1 << extra) - 1));
            bits.consume(extra)?;
            if u64::from(distance) > sink.position() - self.member {
                return Err(Error::Invalid("a distance reaches before the start"));
            }
            sink.copy(len, distance);
        }
        Ok(false)
    }
}
