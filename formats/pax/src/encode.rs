//! Encoding of headers with their records.

use std::collections::BTreeMap;

use tree::{Device, Meta, Time};

use crate::BLOCK;
use crate::header::{self, Block, USTAR};

/// Maximum value of the fields of mode, owners and device numbers: seven octal digits.
pub const MAX_7_DIGITS: u64 = 0o777_7777;
/// Maximum value of the fields of size and time: eleven octal digits.
const MAX_11_DIGITS: u64 = 0o777_7777_7777;

/// Fields of a header.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    pub path: &'a [u8],
    /// Target of a hard link or symbolic link; empty for other types.
    pub link: &'a [u8],
    pub typeflag: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    pub device: Device,
    /// Length of the content in bytes.
    pub size: u64,
}

/// Encodes a header, after an extended header for the extended attributes and records of `meta` and for
/// the values that do not fit the fields.
pub fn encode(fields: &Fields<'_>, meta: &Meta) -> Vec<u8> {
    let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (name, value) in &meta.xattrs {
        records.insert(xattr_record(name), value.clone());
    }
    if let Some(more) = &meta.records {
        let more = more
            .iter()
            .map(|(key, value)| (key.clone().into_bytes(), value.clone()));
        records.extend(more);
    }
    let mut record = |key: &str, value: Vec<u8>| records.insert(key.into(), value);
    if !fits_text(fields.path) {
        record("path", fields.path.to_vec());
    }
    if !fits_text(fields.link) {
        record("linkpath", fields.link.to_vec());
    }
    for (key, id) in [("uid", fields.uid), ("gid", fields.gid)] {
        if u64::from(id) > MAX_7_DIGITS {
            record(key, id.to_string().into_bytes());
        }
    }
    if fields.size > MAX_11_DIGITS {
        record("size", fields.size.to_string().into_bytes());
    }
    let Time { seconds, nanoseconds } = fields.mtime;
    if nanoseconds != 0 || !u64::try_from(seconds).is_ok_and(|seconds| seconds <= MAX_11_DIGITS) {
        record("mtime", decimal_time(fields.mtime));
    }
    let mut blocks = Vec::new();
    if !records.is_empty() {
        let body: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| encode_record(key, value))
            .collect();
        let extended = Fields {
            path: &extended_name(fields.path),
            link: b"",
            typeflag: b'x',
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Time::default(),
            device: Device::default(),
            size: body.len() as u64,
        };
        blocks.extend(block(&extended));
        blocks.extend(&body);
        blocks.resize(blocks.len().next_multiple_of(BLOCK as usize), 0);
    }
    blocks.extend(block(fields));
    blocks
}

/// Returns the key of the pax record of an extended attribute, as star, GNU tar and Go name it.
pub fn xattr_record(name: &[u8]) -> Vec<u8> {
    [b"SCHILY.xattr.", name].concat()
}

/// Returns true for a name that needs no record. ustar is defined for ASCII only.
fn fits_text(text: &[u8]) -> bool {
    text.len() <= header::NAME.len() && text.is_ascii()
}

/// Returns the name that the extended header of a path has.
fn extended_name(path: &[u8]) -> Vec<u8> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let (directory, base) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => path.split_at(at + 1),
        None => (&b""[..], path),
    };
    let mut name = [directory, b"PaxHeaders.0/", base].concat();
    name.retain(u8::is_ascii);
    name.truncate(header::NAME.len());
    while name.ends_with(b"/") {
        name.pop();
    }
    name
}

/// Encodes a record "LEN KEY=VALUE\n", where LEN includes its own digits.
fn encode_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + rest.to_string().len();
    if len.to_string().len() != rest.to_string().len() {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Formats seconds with as many decimals as needed.
fn decimal_time(time: Time) -> Vec<u8> {
    let (sign, seconds, nanoseconds) = if time.seconds < 0 && time.nanoseconds > 0 {
        ("-", (time.seconds + 1).unsigned_abs(), 1_000_000_000 - time.nanoseconds)
    } else if time.seconds < 0 {
        ("-", time.seconds.unsigned_abs(), 0)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanoseconds)
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').trim_end_matches('.').as_bytes().to_vec()
}

/// Encodes the block of a header.
fn block(fields: &Fields<'_>) -> Block {
    let mut block = [0; 512];
    put_text(&mut block, header::NAME, fields.path);
    put_number(&mut block, header::MODE, u64::from(fields.mode));
    put_number(&mut block, header::UID, u64::from(fields.uid));
    put_number(&mut block, header::GID, u64::from(fields.gid));
    put_number(&mut block, header::SIZE, fields.size);
    put_number(
        &mut block,
        header::MTIME,
        u64::try_from(fields.mtime.seconds).unwrap_or(0),
    );
    block[header::TYPEFLAG] = fields.typeflag;
    put_text(&mut block, header::LINKNAME, fields.link);
    put_text(&mut block, header::MAGIC, USTAR);
    put_number(&mut block, header::DEVMAJOR, u64::from(fields.device.major));
    put_number(&mut block, header::DEVMINOR, u64::from(fields.device.minor));
    let sum = header::checksum(&block);
    put_text(&mut block, header::CHKSUM, format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Puts as much of a text as fits; a record holds all of a text that is too long.
fn put_text(block: &mut Block, range: std::ops::Range<usize>, text: &[u8]) {
    let ascii = text.iter().copied().filter(u8::is_ascii);
    for (to, from) in block.iter_mut().take(range.end).skip(range.start).zip(ascii) {
        *to = from;
    }
}

/// Puts octal digits and a NUL; 0 if they do not fit, in which case a record holds the number.
fn put_number(block: &mut Block, range: std::ops::Range<usize>, value: u64) {
    let digits = range.len() - 1;
    let text = format!("{value:0digits$o}");
    let text = if text.len() > digits { "0".repeat(digits) } else { text };
    put_text(block, range, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for value_len in [1, 5, 6, 90, 91, 92, 93, 94, 95, 990, 991, 992, 993, 9985] {
            let record = encode_record(b"k", &vec![b'v'; value_len]);
            let len: usize = std::str::from_utf8(record.split(|&b| b == b' ').next().unwrap())
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(len, record.len());
        }
    }

    #[test]
    fn times_have_signs_and_fractions() {
        let time = |seconds, nanoseconds| String::from_utf8(decimal_time(Time { seconds, nanoseconds })).unwrap();
        assert_eq!(time(5, 0), "5");
        assert_eq!(time(5, 250_000_000), "5.25");
        assert_eq!(time(-1, 0), "-1");
        assert_eq!(time(-2, 500_000_000), "-1.5");
        assert_eq!(time(-1, 500_000_000), "-0.5");
    }
}
