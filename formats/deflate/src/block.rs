//! Writing of blocks from tokens.

use crate::bits::BitWriter;
use crate::huffman::{self, Code, DISTANCES, LENGTHS, ORDER};
use crate::{MAX_CODE_LEN, MAX_STORED};

/// Literal or match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token(u32);

impl Token {
    pub fn literal(byte: u8) -> Self {
        Token(u32::from(byte))
    }

    /// Creates a match of 3 to 258 bytes at a distance of 1 to 32768.
    pub fn copy(len: u32, distance: u32) -> Self {
        Token(len << 16 | distance)
    }

    fn len(self) -> u32 {
        self.0 >> 16
    }

    fn distance(self) -> u32 {
        self.0 & 0xffff
    }
}

/// Returns the index of a length in [`LENGTHS`].
fn length_code(len: u32) -> usize {
    match len {
        0..=10 => len.saturating_sub(3) as usize,
        258.. => 28,
        len => {
            let bits = (len - 3).ilog2();
            ((bits - 1) * 4 + ((len - 3) >> (bits - 2) & 3)) as usize
        }
    }
}

/// Returns the index of a distance in [`DISTANCES`].
fn distance_code(distance: u32) -> usize {
    match distance {
        0..=4 => distance.saturating_sub(1) as usize,
        distance => {
            let bits = (distance - 1).ilog2();
            (bits * 2 + ((distance - 1) >> (bits - 1) & 1)) as usize
        }
    }
}

/// Lengths of the codes of a block.
struct Lengths {
    literals: Vec<u8>,
    distances: Vec<u8>,
}

impl Lengths {
    fn fixed() -> Self {
        Lengths {
            literals: huffman::fixed_lengths().to_vec(),
            distances: vec![5; 30],
        }
    }

    /// Returns the number of bits of tokens that occur this often, and of the end of the block.
    fn bits(&self, literals: &[u32; 286], distances: &[u32; 30]) -> u64 {
        let sum = |frequencies: &[u32], lengths: &[u8], extra: &dyn Fn(usize) -> u8| -> u64 {
            let all = frequencies.iter().zip(lengths).enumerate();
            all.map(|(symbol, (count, len))| u64::from(*count) * u64::from(len + extra(symbol)))
                .sum()
        };
        let length_extra = |symbol: usize| {
            symbol
                .checked_sub(257)
                .and_then(|at| LENGTHS.get(at))
                .map_or(0, |length| length.1)
        };
        sum(literals, &self.literals, &length_extra)
            + sum(distances, &self.distances, &|symbol| {
                DISTANCES.get(symbol).map_or(0, |distance| distance.1)
            })
    }
}

/// Header of a block with dynamic codes, without its first three bits.
struct DynamicHeader {
    literals: usize,
    distances: usize,
    /// Symbols of code lengths, each with its extra bits and their number.
    symbols: Vec<(u8, u8, u8)>,
    lengths: Vec<u8>,
    count: usize,
}

impl DynamicHeader {
    fn new(lengths: &Lengths) -> Self {
        let used = |lengths: &[u8], min: usize| {
            let last = lengths.iter().rposition(|len| *len > 0);
            last.map_or(min, |last| (last + 1).max(min))
        };
        let literals = used(&lengths.literals, 257);
        let distances = used(&lengths.distances, 1);
        let all: Vec<u8> = lengths
            .literals
            .iter()
            .take(literals)
            .chain(lengths.distances.iter().take(distances))
            .copied()
            .collect();
        let mut symbols = Vec::new();
        for run in all.chunk_by(|a, b| a == b) {
            let (len, mut left) = (run.first().copied().unwrap_or_default(), run.len());
            if len > 0 {
                symbols.push((len, 0, 0));
                left -= 1;
            }
            while left > 0 {
                // A run of zeros, or a repetition of the length before.
                let (symbol, extra, min, max) = match (len, left) {
                    (0, 11..) => (18, 7, 11, 138),
                    (0, 3..) => (17, 3, 3, 10),
                    (1.., 3..) => (16, 2, 3, 6),
                    _ => (len, 0, 1, 1),
                };
                let take = left.min(max);
                symbols.push((symbol, (take - min) as u8, extra));
                left -= take;
            }
        }
        let mut frequencies = [0u32; 19];
        for (symbol, ..) in &symbols {
            frequencies[usize::from(*symbol)] += 1;
        }
        // A single code would be incomplete.
        if frequencies.iter().filter(|frequency| **frequency > 0).count() < 2 {
            let unused = frequencies
                .iter()
                .position(|frequency| *frequency == 0)
                .unwrap_or_default();
            frequencies[unused] = 1;
        }
        let lengths = huffman::lengths(&frequencies, 7);
        let count = ORDER
            .iter()
            .rposition(|symbol| lengths[*symbol] > 0)
            .map_or(4, |last| (last + 1).max(4));
        DynamicHeader {
            literals,
            distances,
            symbols,
            lengths,
            count,
        }
    }

    fn bits(&self) -> u64 {
        let symbols = self.symbols.iter();
        let codes = symbols.map(|(symbol, _, extra)| u64::from(self.lengths[usize::from(*symbol)] + extra));
        14 + 3 * self.count as u64 + codes.sum::<u64>()
    }

    fn write(&self, out: &mut BitWriter) {
        out.put(self.literals as u64 - 257, 5);
        out.put(self.distances as u64 - 1, 5);
        out.put(self.count as u64 - 4, 4);
        for symbol in ORDER.iter().take(self.count) {
            out.put(u64::from(self.lengths[*symbol]), 3);
        }
        let codes = huffman::codes(&self.lengths);
        for (symbol, value, extra) in &self.symbols {
            let code = codes[usize::from(*symbol)];
            out.put(u64::from(code.bits), u32::from(code.len));
            out.put(u64::from(*value), u32::from(*extra));
        }
    }
}

/// Writes the tokens of `plain` as one block, or as stored blocks where that is shorter.
pub(crate) fn write(tokens: &[Token], plain: &[u8], out: &mut BitWriter) {
    let mut literals = [0u32; 286];
    let mut distances = [0u32; 30];
    for token in tokens {
        match token.len() {
            0 => literals[token.distance() as usize & 255] += 1,
            len => {
                literals[257 + length_code(len)] += 1;
                distances[distance_code(token.distance())] += 1;
            }
        }
    }
    literals[256] = 1;
    let mut lengths = Lengths {
        literals: huffman::lengths(&literals, MAX_CODE_LEN),
        distances: huffman::lengths(&distances, MAX_CODE_LEN),
    };
    // Old decoders refuse incomplete codes, so there are always two, as zlib does it.
    pad_to_two(&mut lengths.literals);
    pad_to_two(&mut lengths.distances);
    let header = DynamicHeader::new(&lengths);
    let fixed = Lengths::fixed();
    let dynamic_bits = header.bits() + lengths.bits(&literals, &distances);
    let fixed_bits = fixed.bits(&literals, &distances);
    let stored_bits = plain.len() as u64 * 8 + plain.len().div_ceil(MAX_STORED) as u64 * 40;
    if stored_bits < dynamic_bits.min(fixed_bits) {
        write_stored(plain, out);
        return;
    }
    let lengths = if fixed_bits <= dynamic_bits {
        out.put(0b010, 3);
        fixed
    } else {
        out.put(0b100, 3);
        header.write(out);
        lengths
    };
    let literals = huffman::codes(&lengths.literals);
    let distances = huffman::codes(&lengths.distances);
    let put = |out: &mut BitWriter, code: Code, extra: u32, bits: u8| {
        out.put(
            u64::from(code.bits) | u64::from(extra) << code.len,
            u32::from(code.len) + u32::from(bits),
        );
    };
    for token in tokens {
        match token.len() {
            0 => put(out, literals[token.distance() as usize & 255], 0, 0),
            len => {
                let index = length_code(len);
                let (base, bits) = LENGTHS[index];
                put(out, literals[257 + index], len - u32::from(base), bits);
                let index = distance_code(token.distance());
                let (base, bits) = DISTANCES[index];
                put(out, distances[index], token.distance() - u32::from(base), bits);
            }
        }
    }
    put(out, literals[256], 0, 0);
}

/// Gives a code of fewer than two symbols two codes of one bit.
fn pad_to_two(lengths: &mut [u8]) {
    while lengths.iter().filter(|len| **len > 0).count() < 2 {
        match lengths.iter_mut().find(|len| **len == 0) {
            Some(len) => *len = 1,
            None => return,
        }
    }
}

/// Writes bytes as stored blocks.
pub(crate) fn write_stored(bytes: &[u8], out: &mut BitWriter) {
    for part in bytes.chunks(MAX_STORED) {
        stored_header(part.len() as u16, out);
        out.out.extend_from_slice(part);
    }
}

/// Writes an empty stored block, which ends at a byte boundary: zlib's sync flush.
pub(crate) fn write_sync(out: &mut BitWriter) {
    stored_header(0, out);
}

fn stored_header(len: u16, out: &mut BitWriter) {
    out.put(0, 3);
    out.align();
    out.out.extend_from_slice(&len.to_le_bytes());
    out.out.extend_from_slice(&(!len).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_distance_has_its_code() {
        for len in 3..=258u32 {
            let (base, bits) = LENGTHS[length_code(len)];
            let extra = len - u32::from(base);
            assert!(extra < 1 << bits && (len < 258 || bits == 0), "{len}");
        }
        for distance in 1..=32768u32 {
            let (base, bits) = DISTANCES[distance_code(distance)];
            assert!(distance - u32::from(base) < 1 << bits, "{distance}");
        }
    }
}
