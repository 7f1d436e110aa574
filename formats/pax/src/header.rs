//! Fields of the header block, as byte ranges (POSIX.1-2017, ustar Header Block).

use std::ops::Range;

pub const NAME: Range<usize> = 0..100;
pub const MODE: Range<usize> = 100..108;
pub const UID: Range<usize> = 108..116;
pub const GID: Range<usize> = 116..124;
pub const SIZE: Range<usize> = 124..136;
pub const MTIME: Range<usize> = 136..148;
pub const CHKSUM: Range<usize> = 148..156;
pub const TYPEFLAG: usize = 156;
pub const LINKNAME: Range<usize> = 157..257;
pub const MAGIC: Range<usize> = 257..265;
pub const DEVMAJOR: Range<usize> = 329..337;
pub const DEVMINOR: Range<usize> = 337..345;
pub const PREFIX: Range<usize> = 345..500;

/// Magic "ustar\0" with version "00".
pub const USTAR: &[u8; 8] = b"ustar\x0000";

pub type Block = [u8; 512];

/// Returns the bytes of a field; none for a range outside of the block.
pub fn field(block: &Block, range: Range<usize>) -> &[u8] {
    block.get(range).unwrap_or_default()
}

/// Returns a field of text, which ends at the first NUL.
pub fn text(block: &Block, range: Range<usize>) -> &[u8] {
    let bytes = field(block, range);
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Parses a number: octal digits, or base-256 if the first bit is set (GNU).
pub fn number(block: &Block, range: Range<usize>) -> Option<i64> {
    let bytes = field(block, range);
    let first = *bytes.first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (at, &byte) in bytes.iter().enumerate() {
            // The flag bit itself carries no value; for a negative number it is a sign bit.
            let byte = if at == 0 && !negative { byte & 0x7f } else { byte };
            value = (value << 8) | i128::from(byte);
        }
        return i64::try_from(value).ok();
    }
    let digits: &[u8] = bytes.trim_ascii_start();
    let digits = digits
        .split(|&byte| byte == 0 || byte == b' ')
        .next()
        .unwrap_or_default();
    let mut value: i64 = 0;
    for &digit in digits {
        if !(b'0'..=b'7').contains(&digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

/// Sums all bytes, with the checksum field taken as spaces.
pub fn checksum(block: &Block) -> u32 {
    block
        .iter()
        .enumerate()
        .map(|(at, &byte)| u32::from(if CHKSUM.contains(&at) { b' ' } else { byte }))
        .sum()
}

/// Sums all bytes as signed numbers, as some historic programs did.
pub fn signed_checksum(block: &Block) -> i32 {
    block
        .iter()
        .enumerate()
        .map(|(at, &byte)| i32::from(if CHKSUM.contains(&at) { b' ' as i8 } else { byte as i8 }))
        .sum()
}
