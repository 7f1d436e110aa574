//! Bits of a deflate stream, the least significant of a byte first (RFC 1951, section 3.1.1).

use std::io::Read;
use std::ops::Range;

use crate::Error;

/// Number of bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// Reader of bits.
pub(crate) struct BitReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// Offset of the buffer in the input, in bytes.
    offset: u64,
    /// Next byte of the buffer.
    at: usize,
    /// The next bits. Those beyond `count` are a part of the byte at `at`, or 0.
    hold: u64,
    /// Number of valid bits in `hold`.
    count: u32,
    ended: bool,
}

impl<R: Read> BitReader<R> {
    /// Creates a reader of an input whose next byte is at `offset`.
    pub fn new(input: R, offset: u64) -> Self {
        BitReader {
            input,
            buffer: Vec::new(),
            offset,
            at: 0,
            hold: 0,
            count: 0,
            ended: false,
        }
    }

    /// Returns the offset of the next bit in the input, in bits.
    pub fn position(&self) -> u64 {
        (self.offset + self.at as u64) * 8 - u64::from(self.count)
    }

    /// Returns the next bits, of which [`BitReader::count`] are valid and the others may be 0.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        self.hold
    }

    /// Returns the number of valid bits.
    #[inline(always)]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Makes 56 bits valid, or fewer at the end of the input.
    #[inline(always)]
    pub fn refill(&mut self) -> Result<(), Error> {
        if !self.refill_from_buffer() {
            self.refill_slowly()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn refill_from_buffer(&mut self) -> bool {
        let Some(bytes) = self.buffer.get(self.at..).and_then(<[u8]>::first_chunk::<8>) else {
            return false;
        };
        self.hold |= u64::from_le_bytes(*bytes) << self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        true
    }

    #[cold]
    fn refill_slowly(&mut self) -> Result<(), Error> {
        self.fill_buffer(8)?;
        if self.refill_from_buffer() {
            return Ok(());
        }
        while self.count <= 55
            && let Some(byte) = self.buffer.get(self.at)
        {
            self.hold |= u64::from(*byte) << self.count;
            self.at += 1;
            self.count += 8;
        }
        Ok(())
    }

    /// Reads until the buffer has `min` more bytes, or the input ends.
    fn fill_buffer(&mut self, min: usize) -> Result<(), Error> {
        if self.ended || self.buffer.len() - self.at >= min {
            return Ok(());
        }
        // The last bytes stay, since `bytes` may give those in `hold` back.
        let old = self.at.saturating_sub(8);
        self.buffer.drain(..old);
        self.offset += old as u64;
        self.at -= old;
        let mut len = self.buffer.len();
        self.buffer.resize(BUFFER, 0);
        while len - self.at < min {
            let free = self.buffer.get_mut(len..).unwrap_or_default();
            match self.input.read(free) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => len += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.truncate(len);
                    return Err(error.into());
                }
            }
        }
        self.buffer.truncate(len);
        Ok(())
    }

    /// Drops `n` valid bits.
    ///
    /// # Errors
    /// Fewer bits are valid.
    #[inline(always)]
    pub fn consume(&mut self, n: u32) -> Result<(), Error> {
        self.count = self.count.checked_sub(n).ok_or(Error::Truncated)?;
        self.hold >>= n;
        Ok(())
    }

    /// Takes `n` bits, at most 32.
    pub fn take(&mut self, n: u32) -> Result<u32, Error> {
        if self.count < n {
            self.refill()?;
        }
        let value = self.hold & ((1 << n) - 1);
        self.consume(n)?;
        Ok(value as u32)
    }

    /// Drops the bits up to the next byte.
    pub fn align(&mut self) -> Result<(), Error> {
        self.consume(self.count % 8)
    }

    /// Returns the next byte, from a byte boundary on, or `None` at the end of the input.
    pub fn byte(&mut self) -> Result<Option<u8>, Error> {
        if self.count < 8 {
            self.refill()?;
        }
        if self.count < 8 {
            return Ok(None);
        }
        Ok(Some(self.take(8)? as u8))
    }

    /// Returns at most `max` of the bytes that follow, from a byte boundary on. They count as read.
    ///
    /// # Errors
    /// The input has ended.
    pub fn bytes(&mut self, max: usize) -> Result<&[u8], Error> {
        // Whole bytes that were taken into `hold` return to the buffer.
        self.at -= (self.count / 8) as usize;
        (self.hold, self.count) = (0, 0);
        self.fill_buffer(1)?;
        let start = self.at;
        let len = max.min(self.buffer.len() - start);
        if len == 0 && max > 0 {
            return Err(Error::Truncated);
        }
        self.at += len;
        Ok(self.buffer.get(start..start + len).unwrap_or_default())
    }
}

/// Writer of bits.
#[derive(Default)]
pub(crate) struct BitWriter {
    pub out: Vec<u8>,
    hold: u64,
    /// Number of bits in `hold`, less than 32.
    count: u32,
}

impl BitWriter {
    /// Creates a writer that appends to bytes.
    pub fn new(out: Vec<u8>) -> Self {
        BitWriter {
            out,
            ..BitWriter::default()
        }
    }

    /// Appends the lowest `n` bits of `value`, at most 32; the others are 0.
    #[inline(always)]
    pub fn put(&mut self, value: u64, n: u32) {
        self.hold |= value << self.count;
        self.count += n;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.hold as u32).to_le_bytes());
            self.hold >>= 32;
            self.count -= 32;
        }
    }

    /// Returns true at a byte boundary.
    pub fn is_aligned(&self) -> bool {
        self.count.is_multiple_of(8)
    }

    /// Appends zeros up to the next byte, after which `out` is complete.
    pub fn align(&mut self) {
        let len = self.count.div_ceil(8) as usize;
        let bytes = self.hold.to_le_bytes();
        self.out.extend_from_slice(bytes.get(..len).unwrap_or_default());
        (self.hold, self.count) = (0, 0);
    }

    /// Appends whole bytes at any bit.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.is_aligned() {
            self.align();
            self.out.extend_from_slice(bytes);
            return;
        }
        let (words, rest) = bytes.as_chunks::<4>();
        self.out.reserve(bytes.len());
        for word in words {
            self.put(u64::from(u32::from_le_bytes(*word)), 32);
        }
        for byte in rest {
            self.put(u64::from(*byte), 8);
        }
    }

    /// Appends a range of the bits of `bytes`.
    pub fn bits(&mut self, bytes: &[u8], range: Range<u64>) {
        let byte = |bit: u64| u64::from(bytes.get((bit / 8) as usize).copied().unwrap_or_default());
        let first = range.end.min(range.start.next_multiple_of(8));
        let part = |from: u64, to: u64| byte(from) >> (from % 8) & ((1 << (to - from)) - 1);
        if first > range.start {
            self.put(part(range.start, first), (first - range.start) as u32);
        }
        let last = (range.end / 8 * 8).max(first);
        let whole = bytes.get((first.div_ceil(8)) as usize..(last / 8) as usize);
        self.bytes(whole.unwrap_or_default());
        if range.end > last {
            self.put(part(last, range.end), (range.end - last) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_as_they_were_written() {
        let mut writer = BitWriter::new(vec![9]);
        let mut state = 1u32;
        let mut values = Vec::new();
        for _ in 0..100_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = state >> 27;
            let value = ((u64::from(state) * 0x9e37_79b9) >> 7) & ((1 << n) - 1);
            writer.put(value, n);
            values.push((value as u32, n));
        }
        writer.bytes(b"middle");
        writer.align();
        writer.bytes(b"end");
        let mut copied = BitWriter::default();
        let end = writer.out.len() as u64 * 8;
        for (from, to) in [
            (0, 3),
            (3, 3),
            (3, 5),
            (5, 1000),
            (1000, 1008),
            (1008, 1015),
            (1015, 1017),
            (1017, end),
        ] {
            copied.put(0b101, 3);
            copied.bits(&writer.out, from..to);
        }
        copied.align();
        let mut both = (
            BitReader::new(copied.out.as_slice(), 0),
            BitReader::new(writer.out.as_slice(), 0),
        );
        for len in [3, 0, 2, 995, 8, 7, 2, end - 1017] {
            assert_eq!(both.0.take(3).unwrap(), 0b101);
            for _ in 0..len {
                assert_eq!(both.0.take(1).unwrap(), both.1.take(1).unwrap());
            }
        }
        let mut reader = BitReader::new(writer.out.get(1..).unwrap(), 1);
        let mut position = 8;
        for (value, n) in values {
            assert_eq!(reader.position(), position);
            assert_eq!(reader.take(n).unwrap(), value);
            position += u64::from(n);
        }
        for byte in b"middle" {
            assert_eq!(reader.take(8).unwrap(), u32::from(*byte));
        }
        reader.align().unwrap();
        assert_eq!(reader.byte().unwrap(), Some(b'e'));
        assert_eq!(reader.bytes(9).unwrap(), b"nd");
        assert!(matches!(reader.bytes(1), Err(Error::Truncated)));
        assert!(matches!(reader.byte(), Ok(None)));
        assert!(matches!(reader.take(1), Err(Error::Truncated)));
    }
}
