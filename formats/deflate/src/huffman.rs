//! Huffman codes of deflate (RFC 1951, section 3.2).

use crate::bits::BitReader;
use crate::{Error, MAX_CODE_LEN};

/// Number of bits that the first lookup of a literal or length takes.
pub(crate) const LITERAL_ROOT: u32 = 11;
/// Number of bits that the first lookup of a distance takes.
pub(crate) const DISTANCE_ROOT: u32 = 8;
/// Number of bits of the codes of code lengths.
const LENGTH_ROOT: u32 = 7;

/// Entries of a table, 32 bits:
///
/// ```text
/// | 31..16 value | 15 invalid | 14 end | 13 subtable | 12 literal | 11..8 bits of the subtable | 7..4 extra bits | 3..0 length of the code |
/// ```
pub(crate) const LITERAL: u32 = 1 << 12;
pub(crate) const SUBTABLE: u32 = 1 << 13;
pub(crate) const END: u32 = 1 << 14;
pub(crate) const INVALID: u32 = 1 << 15;
/// Entry of a code that is not assigned. zlib reports it once one bit is there.
const UNASSIGNED: u32 = INVALID | 1;

/// First length of each length code, from symbol 257 on, and its number of extra bits.
pub(crate) const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// First distance of each distance code, and its number of extra bits.
pub(crate) const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
/// Order in which the lengths of the codes of code lengths are stored.
pub(crate) const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Code, its first bit lowest, and its length in bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    pub bits: u16,
    pub len: u8,
}

/// Assigns codes to symbols by their lengths in bits, 0 for none (RFC 1951, section 3.2.2).
pub(crate) fn codes(lengths: &[u8]) -> Vec<Code> {
    let mut next = first_codes(&counts(lengths));
    lengths
        .iter()
        .map(|&len| {
            let next = &mut next[usize::from(len & 15)];
            let code = *next;
            *next = next.wrapping_add(1);
            Code {
                bits: if len == 0 { 0 } else { reversed(code, len) },
                len,
            }
        })
        .collect()
}

fn counts(lengths: &[u8]) -> [u16; 16] {
    let mut counts = [0; 16];
    for len in lengths {
        counts[usize::from(len & 15)] += 1;
    }
    counts[0] = 0;
    counts
}

fn first_codes(counts: &[u16; 16]) -> [u16; 16] {
    let mut first = [0u16; 16];
    let mut code = 0u16;
    for (first, count) in first.iter_mut().zip([0].iter().chain(counts)).skip(1) {
        code = code.wrapping_add(*count) << 1;
        *first = code;
    }
    first
}

fn reversed(code: u16, len: u8) -> u16 {
    code.reverse_bits() >> (16 - u32::from(len))
}

/// Fills a decoding table for codes of these lengths: 2^`root` entries, then subtables. `entry` returns
/// the entry of a symbol without the length of its code.
///
/// # Errors
/// Codes that zlib refuses: over-subscribed ones, and incomplete ones other than a single code of one bit,
/// or no code at all.
fn fill(table: &mut [u32], root: u32, lengths: &[u8], single: bool, entry: impl Fn(usize) -> u32) -> Result<(), Error> {
    let counts = counts(lengths);
    let primary = 1usize << root;
    let Some(max) = (1..=15u8).rev().find(|&len| counts[usize::from(len)] > 0) else {
        table.iter_mut().take(primary).for_each(|entry| *entry = UNASSIGNED);
        return Ok(());
    };
    let mut left = 1i32;
    for count in counts.iter().skip(1) {
        left = (left << 1) - i32::from(*count);
        if left < 0 {
            return Err(Error::Invalid("over-subscribed code"));
        }
    }
    if left > 0 {
        if !single || max != 1 {
            return Err(Error::Invalid("incomplete code"));
        }
        table.iter_mut().take(primary).for_each(|entry| *entry = UNASSIGNED);
    }
    let mut next = first_codes(&counts);
    let mut take = |len: u8| {
        let next = &mut next[usize::from(len & 15)];
        let code = reversed(*next, len);
        *next = next.wrapping_add(1);
        usize::from(code)
    };
    if u32::from(max) <= root {
        for (symbol, &len) in lengths.iter().enumerate().filter(|(_, len)| **len > 0) {
            let value = entry(symbol) | u32::from(len);
            let code = take(len);
            table
                .iter_mut()
                .take(primary)
                .skip(code)
                .step_by(1 << len)
                .for_each(|entry| *entry = value);
        }
        return Ok(());
    }
    // Longest code of each prefix.
    let mut longest = [0u8; 1 << LITERAL_ROOT];
    let codes = codes(lengths);
    for code in codes.iter().filter(|code| u32::from(code.len) > root) {
        if let Some(longest) = longest.get_mut(usize::from(code.bits) & (primary - 1)) {
            *longest = (*longest).max(code.len);
        }
    }
    let mut end = primary;
    for (prefix, longest) in longest.iter().enumerate().filter(|(_, longest)| **longest > 0) {
        let bits = u32::from(*longest) - root;
        if let Some(entry) = table.get_mut(prefix) {
            *entry = SUBTABLE | (end as u32) << 16 | bits << 8;
        }
        end += 1 << bits;
    }
    for ((symbol, &len), code) in lengths.iter().enumerate().zip(&codes).filter(|((_, len), _)| **len > 0) {
        let value = entry(symbol) | u32::from(len);
        let code = usize::from(code.bits);
        let (start, len_there, end) = if u32::from(len) <= root {
            (code, u32::from(len), primary)
        } else {
            let prefix = table.get(code & (primary - 1)).copied().unwrap_or_default();
            let start = (prefix >> 16) as usize;
            (
                start + (code >> root),
                u32::from(len) - root,
                start + (1 << (prefix >> 8 & 15)),
            )
        };
        table
            .iter_mut()
            .take(end)
            .skip(start)
            .step_by(1 << len_there)
            .for_each(|entry| *entry = value);
    }
    Ok(())
}

/// Number of entries of a table of literals and lengths. 286 codes of at most 15 bits and a first lookup of 11
/// bits take at most 2342 (zlib, `enough`).
const LITERAL_TABLE: usize = 4096;
/// Number of entries of a table of distances. 30 codes and a first lookup of 8 bits take at most 402.
const DISTANCE_TABLE: usize = 1024;

/// Decoding tables of a block.
pub(crate) struct Tables {
    literals: Box<[u32; LITERAL_TABLE]>,
    distances: Box<[u32; DISTANCE_TABLE]>,
    /// Code of the end of the block.
    pub end: Code,
    /// The tables are those of the fixed codes.
    fixed: bool,
}

impl Tables {
    pub fn new() -> Self {
        Tables {
            literals: Box::new([UNASSIGNED; LITERAL_TABLE]),
            distances: Box::new([UNASSIGNED; DISTANCE_TABLE]),
            end: Code::default(),
            fixed: false,
        }
    }

    /// Sets the fixed codes (RFC 1951, section 3.2.6).
    pub fn set_fixed(&mut self) -> Result<(), Error> {
        if !self.fixed {
            self.set(&fixed_lengths(), &[5; 32])?;
            self.fixed = true;
        }
        Ok(())
    }

    /// Reads the header of a block with dynamic codes (RFC 1951, section 3.2.7).
    ///
    /// # Errors
    /// Codes that zlib refuses, and an early end.
    pub fn read<R: std::io::Read>(&mut self, bits: &mut BitReader<R>) -> Result<(), Error> {
        let literals = bits.take(5)? as usize + 257;
        let distances = bits.take(5)? as usize + 1;
        let count = bits.take(4)? as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(Error::Invalid("too many length or distance symbols"));
        }
        let mut lengths = [0u8; 19];
        for &symbol in ORDER.iter().take(count) {
            lengths[symbol] = bits.take(3)? as u8;
        }
        let mut table = [0u32; 1 << LENGTH_ROOT];
        fill(&mut table, LENGTH_ROOT, &lengths, false, |symbol| (symbol as u32) << 16)?;
        let mut lengths = [0u8; 286 + 30];
        let all = lengths.get_mut(..literals + distances).unwrap_or_default();
        let mut at = 0;
        while at < all.len() {
            bits.refill()?;
            let entry = table[(bits.peek() & 127) as usize];
            bits.consume(entry & 15)?;
            if entry & INVALID != 0 {
                return Err(Error::Invalid("unassigned code of a code length"));
            }
            let (len, count) = match entry >> 16 {
                16 => {
                    let before = at.checked_sub(1).and_then(|at| all.get(at));
                    let before = *before.ok_or(Error::Invalid("a code length is repeated before the first"))?;
                    (before, 3 + bits.take(2)?)
                }
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                len => (len as u8, 1),
            };
            let run = all.get_mut(at..at + count as usize);
            run.ok_or(Error::Invalid("too many code lengths"))?.fill(len);
            at += count as usize;
        }
        let (literals, distances) = all.split_at(literals);
        if literals.get(256).is_none_or(|len| *len == 0) {
            return Err(Error::Invalid("no code ends the block"));
        }
        self.set(literals, distances)
    }

    fn set(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), Error> {
        self.fixed = false;
        fill(
            &mut *self.literals,
            LITERAL_ROOT,
            literals,
            true,
            |symbol| match symbol {
                0..256 => LITERAL | (symbol as u32) << 16,
                256 => END,
                _ => LENGTHS
                    .get(symbol - 257)
                    .map_or(INVALID, |&(base, extra)| u32::from(base) << 16 | u32::from(extra) << 4),
            },
        )?;
        fill(&mut *self.distances, DISTANCE_ROOT, distances, true, |symbol| {
            DISTANCES
                .get(symbol)
                .map_or(INVALID, |&(base, extra)| u32::from(base) << 16 | u32::from(extra) << 4)
        })?;
        self.end = codes(literals).get(256).copied().unwrap_or_default();
        Ok(())
    }

    /// Returns the entry of the literal, length or end whose code is the lowest of the bits.
    #[inline(always)]
    pub fn literal(&self, bits: u64) -> u32 {
        lookup(&self.literals, LITERAL_ROOT, bits)
    }

    /// Returns the entry of the distance whose code is the lowest of the bits.
    #[inline(always)]
    pub fn distance(&self, bits: u64) -> u32 {
        lookup(&self.distances, DISTANCE_ROOT, bits)
    }
}

#[inline(always)]
fn lookup<const N: usize>(table: &[u32; N], root: u32, bits: u64) -> u32 {
    let entry = table[(bits as usize & ((1 << root) - 1)) & (N - 1)];
    if entry & SUBTABLE == 0 {
        return entry;
    }
    let index = (entry >> 16) as usize + (bits >> root) as usize % (1 << (entry >> 8 & 15));
    table[index & (N - 1)]
}

/// Returns the lengths of the fixed codes of literals and lengths.
pub(crate) fn fixed_lengths() -> [u8; 288] {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    lengths
}

/// Computes the lengths of codes for symbols that occur this often: an optimal code, or nearly one where it
/// would be longer than `max` bits. A symbol that does not occur has length 0, a single one length 1.
pub(crate) fn lengths(frequencies: &[u32], max: u8) -> Vec<u8> {
    let mut lengths = vec![0u8; frequencies.len()];
    let mut symbols: Vec<(u32, usize)> = frequencies
        .iter()
        .enumerate()
        .filter(|(_, frequency)| **frequency > 0)
        .map(|(symbol, &frequency)| (frequency, symbol))
        .collect();
    symbols.sort_unstable();
    if symbols.len() < 2 {
        for (_, symbol) in symbols {
            lengths[symbol] = 1;
        }
        return lengths;
    }
    // Number of codes of each length: leaves and inner nodes are merged in the order of their frequencies.
    let count = symbols.len();
    let mut sums: Vec<u64> = Vec::with_capacity(count);
    let mut parents = vec![0usize; 2 * count - 1];
    let (mut leaf, mut node) = (0, 0);
    for index in 0..count - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            let leaf_is_next = match (symbols.get(leaf), sums.get(node)) {
                (Some((frequency, _)), Some(sum)) => u64::from(*frequency) <= *sum,
                (Some(_), None) => true,
                _ => false,
            };
            if leaf_is_next {
                sum += symbols.get(leaf).map_or(0, |(frequency, _)| u64::from(*frequency));
                parents[leaf] = index;
                leaf += 1;
            } else {
                sum += sums.get(node).copied().unwrap_or_default();
                parents[count + node] = index;
                node += 1;
            }
        }
        sums.push(sum);
    }
    let mut depths = vec![0u32; count - 1];
    for index in (0..count - 2).rev() {
        depths[index] = depths[parents[count + index]] + 1;
    }
    let mut counts = [0u32; MAX_CODE_LEN as usize + 1];
    for leaf in 0..count {
        counts[(depths[parents[leaf]] + 1).min(u32::from(max)) as usize] += 1;
    }
    // Codes that were cut to `max` bits make the code over-subscribed: others become longer.
    let max = usize::from(max);
    let mut excess = (1..=max)
        .map(|len| counts[len] << (max - len))
        .sum::<u32>()
        .saturating_sub(1 << max);
    while excess > 0 {
        let Some(len) = (1..max).rev().find(|len| counts[*len] > 0) else {
            break;
        };
        counts[len] -= 1;
        counts[len + 1] += 2;
        counts[max] -= 1;
        excess -= 1;
    }
    let mut rarest = symbols.iter();
    for len in (1..=max).rev() {
        for _ in 0..counts[len] {
            if let Some((_, symbol)) = rarest.next() {
                lengths[*symbol] = len as u8;
            }
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_make_complete_codes() {
        let mut fibonacci = vec![1u32, 1];
        while fibonacci.len() < 40 {
            fibonacci.push(fibonacci[fibonacci.len() - 1] + fibonacci[fibonacci.len() - 2]);
        }
        let mut noise = vec![0u32; 286];
        let mut state = 7u32;
        for frequency in &mut noise {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *frequency = (state >> 20) * (state >> 31);
        }
        let cases: [(Vec<u32>, u8); 7] = [
            (fibonacci.clone(), 15),
            (fibonacci[..19].to_vec(), 7),
            (noise, 15),
            (vec![1; 286], 15),
            (vec![5, 5], 15),
            (vec![1 << 30; 30], 15),
            (vec![1, 0, 0, 9, 1], 7),
        ];
        for (frequencies, max) in cases {
            let lengths = lengths(&frequencies, max);
            assert!(lengths.iter().all(|len| *len <= max));
            assert!(
                lengths
                    .iter()
                    .zip(&frequencies)
                    .all(|(len, frequency)| (*len > 0) == (*frequency > 0))
            );
            let sum: u32 = lengths.iter().filter(|len| **len > 0).map(|len| 1 << (15 - len)).sum();
            assert_eq!(sum, 1 << 15, "{frequencies:?}");
            for (a, b) in frequencies.iter().zip(&lengths) {
                assert!(
                    frequencies
                        .iter()
                        .zip(&lengths)
                        .all(|(c, d)| *c == 0 || *a == 0 || a >= c || b >= d)
                );
            }
        }
        assert_eq!(lengths(&[0, 3, 0], 15), [0, 1, 0]);
        assert_eq!(lengths(&[0, 0], 15), [0, 0]);
    }
}
