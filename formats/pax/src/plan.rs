//! Planning of an archive from a tree.

use std::collections::BTreeMap;

use extents::Extents;
use tree::{Device, Kind, Meta, NodeId, Time, Tree, show};

use crate::BLOCK;
use crate::header::{self, Block, USTAR};

/// Limit of the fields of mode, owners and device numbers: seven octal digits.
const MAX_7_DIGITS: u64 = 0o777_7777;
/// Limit of the fields of size and time: eleven octal digits.
const MAX_11_DIGITS: u64 = 0o777_7777_7777;

/// Reason for which a tree has no archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No type of entry stores a socket.
    #[error("{} is a socket, which a tar archive cannot store", show(path))]
    Socket {
        /// Path of the node.
        path: Vec<u8>,
    },
    /// A device number of more than seven octal digits.
    #[error(
        "{} has the device number {major}:{minor}, but a tar archive stores numbers up to 2097151",
        show(path)
    )]
    Device {
        /// Path of the node.
        path: Vec<u8>,
        /// Number of the driver.
        major: u32,
        /// Number of the device.
        minor: u32,
    },
}

/// Plans the archive of a tree: every name once, in the order of [`Tree::walk`], then the hard
/// links to the names that hold the contents, and two zero blocks. Implied directories are left
/// out, since every program that unpacks an archive creates them.
///
/// # Errors
/// A socket, and a device number beyond the limit of the format.
pub fn plan(tree: &Tree) -> Result<Extents, Error> {
    let mut archive = Extents::new();
    let holders = holders(tree);
    let mut links = Vec::new();
    for item in tree.walk() {
        let meta = &item.node.meta;
        if meta.implied {
            continue;
        }
        let path: &[u8] = if item.path.is_empty() { b"." } else { &item.path };
        if let Some(holder) = holders.get(&item.id)
            && *holder != item.path
        {
            links.push((item.path, holder, meta));
            continue;
        }
        let none = Device::default();
        match &item.node.kind {
            Kind::Directory(_) => push(&mut archive, path, meta, b'5', b"", none, 0),
            Kind::File(content) => {
                push(&mut archive, path, meta, b'0', b"", none, content.len());
                archive.push(content);
                archive.align_to(BLOCK);
            }
            Kind::Symlink(target) => push(&mut archive, path, meta, b'2', target, none, 0),
            Kind::CharDevice(device) | Kind::BlockDevice(device) => {
                let flag = if matches!(item.node.kind, Kind::CharDevice(_)) {
                    b'3'
                } else {
                    b'4'
                };
                if u64::from(device.major.max(device.minor)) > MAX_7_DIGITS {
                    return Err(Error::Device {
                        path: item.path,
                        major: device.major,
                        minor: device.minor,
                    });
                }
                push(&mut archive, path, meta, flag, b"", *device, 0);
            }
            Kind::Fifo => push(&mut archive, path, meta, b'6', b"", none, 0),
            Kind::Socket => return Err(Error::Socket { path: item.path }),
        }
    }
    for (path, holder, meta) in links {
        push(&mut archive, &path, meta, b'1', holder, Device::default(), 0);
    }
    archive.push_zeros(2 * BLOCK);
    Ok(archive)
}

/// Finds the name that holds the content of each node with several: the first that is not marked
/// as a link, otherwise the first.
fn holders(tree: &Tree) -> BTreeMap<NodeId, Vec<u8>> {
    let mut holders: BTreeMap<NodeId, (bool, Vec<u8>)> = BTreeMap::new();
    for item in tree.walk().filter(|item| item.node.nlink() > 1) {
        let name = (item.link, item.path);
        let holder = holders.entry(item.id).or_insert_with(|| name.clone());
        if name < *holder {
            *holder = name;
        }
    }
    holders.into_iter().map(|(id, (_, path))| (id, path)).collect()
}

fn push(archive: &mut Extents, path: &[u8], meta: &Meta, typeflag: u8, link: &[u8], device: Device, size: u64) {
    let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (name, value) in &meta.xattrs {
        records.insert(xattr_record(name), value.clone());
    }
    if let Some(more) = &meta.records {
        records.extend(
            more.iter()
                .map(|(key, value)| (key.clone().into_bytes(), value.clone())),
        );
    }
    let mut record = |key: &str, value: Vec<u8>| records.insert(key.into(), value);
    if !fits_text(path) {
        record("path", path.to_vec());
    }
    if !fits_text(link) {
        record("linkpath", link.to_vec());
    }
    for (key, id) in [("uid", meta.uid), ("gid", meta.gid)] {
        if u64::from(id) > MAX_7_DIGITS {
            record(key, id.to_string().into_bytes());
        }
    }
    if size > MAX_11_DIGITS {
        record("size", size.to_string().into_bytes());
    }
    let Time { seconds, nanoseconds } = meta.mtime;
    if nanoseconds != 0 || !u64::try_from(seconds).is_ok_and(|seconds| seconds <= MAX_11_DIGITS) {
        record("mtime", decimal_time(meta.mtime));
    }
    let mut blocks = Vec::new();
    if !records.is_empty() {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| encode(key, value)).collect();
        let name = extended_name(path);
        let meta = Meta::default();
        blocks.extend(block(&name, &meta, b'x', b"", Device::default(), body.len() as u64));
        blocks.extend(&body);
        blocks.resize(blocks.len().next_multiple_of(BLOCK as usize), 0);
    }
    blocks.extend(block(path, meta, typeflag, link, device, size));
    archive.push_bytes(blocks);
}

/// Returns the key of the pax record of an extended attribute, as star, GNU tar and Go name it.
pub fn xattr_record(name: &[u8]) -> Vec<u8> {
    [b"SCHILY.xattr.", name].concat()
}

/// Returns true for a name that needs no record. ustar is defined for ASCII only.
fn fits_text(text: &[u8]) -> bool {
    text.len() <= header::NAME.len() && text.is_ascii()
}

/// Name in the extended header of a path.
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
fn encode(key: &[u8], value: &[u8]) -> Vec<u8> {
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

fn block(path: &[u8], meta: &Meta, typeflag: u8, link: &[u8], device: Device, size: u64) -> Block {
    let mut block = [0; 512];
    put_text(&mut block, header::NAME, path);
    put_number(&mut block, header::MODE, u64::from(meta.mode));
    put_number(&mut block, header::UID, u64::from(meta.uid));
    put_number(&mut block, header::GID, u64::from(meta.gid));
    put_number(&mut block, header::SIZE, size);
    put_number(
        &mut block,
        header::MTIME,
        u64::try_from(meta.mtime.seconds).unwrap_or(0),
    );
    block[header::TYPEFLAG] = typeflag;
    put_text(&mut block, header::LINKNAME, link);
    put_text(&mut block, header::MAGIC, USTAR);
    put_number(&mut block, header::DEVMAJOR, u64::from(device.major));
    put_number(&mut block, header::DEVMINOR, u64::from(device.minor));
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
            let record = encode(b"k", &vec![b'v'; value_len]);
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
