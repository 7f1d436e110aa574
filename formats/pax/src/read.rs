//! Reading of archives, entry by entry, with contents as slices.

use std::collections::BTreeMap;
use std::io;

use extents::Extents;
use tree::{Device, Kind, Meta, Time, brief};

use crate::BLOCK;
use crate::header::{self, Block};

/// Maximum length of an extended header or long name in bytes. Real ones have a few hundred; it stops
/// malicious archives.
const MAX_RECORDS_LEN: u64 = 1 << 20;
/// Maximum length of the name of an extended attribute, in bytes (Linux, include/uapi/linux/limits.h:
/// `XATTR_NAME_MAX`).
const MAX_XATTR_NAME: usize = 255;

/// Failure to read an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes could not be read.
    #[error("cannot read the tar archive at offset {offset}: {source}")]
    Io {
        /// Offset in the archive in bytes.
        offset: u64,
        /// Error of the read.
        source: io::Error,
    },
    /// The block at `offset` is not a header.
    #[error("the tar header at offset {offset} is corrupt: {fault}")]
    Header {
        /// Offset in the archive in bytes.
        offset: u64,
        /// Fault of the header.
        fault: &'static str,
    },
    /// An entry is longer than the rest of the archive.
    #[error(
        "the tar archive ends within {}: {needed} bytes are needed at offset {offset}, {left} are left",
        brief(path)
    )]
    Truncated {
        /// Name of the entry.
        path: Vec<u8>,
        /// Offset of its content in bytes.
        offset: u64,
        /// Length of the content in bytes.
        needed: u64,
        /// Length of the rest of the archive in bytes.
        left: u64,
    },
    /// An extended header or long name beyond the limit.
    #[error("the extended header at offset {offset} has {len} bytes, more than {MAX_RECORDS_LEN}")]
    Records {
        /// Offset in the archive in bytes.
        offset: u64,
        /// Length of the header in bytes.
        len: u64,
    },
    /// A GNU sparse file.
    #[error("{} is stored as a GNU sparse file, which is not supported", brief(path))]
    Sparse {
        /// Name of the entry.
        path: Vec<u8>,
    },
}

/// Content of an entry.
#[derive(Clone, Debug)]
pub enum Body {
    /// A node; a directory comes without its entries.
    Node(Kind),
    /// A hard link to an entry with this name.
    Link(Vec<u8>),
}

impl Body {
    /// Returns true for a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, Body::Node(Kind::Directory(_)))
    }
}

/// Entry of an archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name, exactly as in the archive.
    pub path: Vec<u8>,
    /// Mode, owner, time and extended attributes; other pax records are dropped.
    pub meta: Meta,
    /// Type and content.
    pub body: Body,
}

/// Iterates over the entries of an archive.
pub fn entries(archive: &Extents) -> Entries<'_> {
    Entries {
        archive,
        offset: 0,
        done: false,
    }
}

/// Iterator over the entries of an archive, which ends after an error.
#[derive(Debug)]
pub struct Entries<'a> {
    archive: &'a Extents,
    offset: u64,
    done: bool,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let entry = self.entry().transpose();
        self.done = !matches!(entry, Some(Ok(_)));
        entry
    }
}

/// Values of the extended headers before an entry.
#[derive(Default)]
struct Extended {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Entries<'_> {
    fn entry(&mut self) -> Result<Option<Entry>, ReadError> {
        let mut extended = Extended::default();
        loop {
            let at = self.offset;
            let Some(block) = self.block()? else { return Ok(None) };
            if block.iter().all(|&byte| byte == 0) {
                return match self.block()? {
                    Some(next) if next.iter().any(|&byte| byte != 0) => Err(ReadError::Header {
                        offset: at,
                        fault: "one block of zeros instead of two",
                    }),
                    _ => Ok(None),
                };
            }
            let sum = header::number(&block, header::CHKSUM);
            if sum != Some(i64::from(header::checksum(&block)))
                && sum != Some(i64::from(header::signed_checksum(&block)))
            {
                return Err(ReadError::Header {
                    offset: at,
                    fault: "the checksum is wrong",
                });
            }
            let size = number(&block, header::SIZE, at, "size")?;
            let typeflag = block[header::TYPEFLAG];
            match typeflag {
                b'x' | b'X' => extended.records = records(&self.small(size, at)?, at)?,
                b'g' => {
                    // Global records (a comment of git, for example) describe the archive, not its files.
                    self.small(size, at)?;
                }
                b'L' => extended.name = Some(until_nul(self.small(size, at)?)),
                b'K' => extended.link = Some(until_nul(self.small(size, at)?)),
                _ => return self.finish(&block, typeflag, size, at, extended).map(Some),
            }
        }
    }

    fn block(&mut self) -> Result<Option<Block>, ReadError> {
        let left = self.archive.len().saturating_sub(self.offset);
        if left < BLOCK {
            // The zeros at the end may be cut, a header may not.
            let rest = self.archive.part(self.offset, left).to_vec();
            let rest = rest.map_err(|source| ReadError::Io {
                offset: self.offset,
                source,
            })?;
            return if rest.iter().all(|&byte| byte == 0) {
                Ok(None)
            } else {
                Err(ReadError::Header {
                    offset: self.offset,
                    fault: "the archive ends within it",
                })
            };
        }
        let mut block = [0; 512];
        self.archive
            .read_exact_at(&mut block, self.offset)
            .map_err(|source| ReadError::Io {
                offset: self.offset,
                source,
            })?;
        self.offset += BLOCK;
        Ok(Some(block))
    }

    /// Reads the content of an extended header into memory.
    fn small(&mut self, len: u64, at: u64) -> Result<Vec<u8>, ReadError> {
        if len > MAX_RECORDS_LEN {
            return Err(ReadError::Records { offset: at, len });
        }
        let (start, _) = self.content(len, b"(extended header)")?;
        let mut bytes = vec![0; len as usize];
        self.archive
            .read_exact_at(&mut bytes, start)
            .map_err(|source| ReadError::Io { offset: start, source })?;
        Ok(bytes)
    }

    /// Skips a content, and returns its offset and length.
    fn content(&mut self, len: u64, path: &[u8]) -> Result<(u64, u64), ReadError> {
        let left = self.archive.len().saturating_sub(self.offset);
        if len > left {
            return Err(ReadError::Truncated {
                path: path.to_vec(),
                offset: self.offset,
                needed: len,
                left,
            });
        }
        let start = self.offset;
        // The padding of the last entry may be missing.
        self.offset = (start + len).next_multiple_of(BLOCK).min(self.archive.len());
        Ok((start, len))
    }

    fn finish(
        &mut self,
        block: &Block,
        typeflag: u8,
        size: u64,
        at: u64,
        extended: Extended,
    ) -> Result<Entry, ReadError> {
        let mut records = extended.records;
        let mut path = match extended.name {
            Some(name) => name,
            None => header_name(block),
        };
        if let Some(name) = records.remove(&b"path"[..]) {
            path = name;
        }
        let mut link = extended
            .link
            .unwrap_or_else(|| header::text(block, header::LINKNAME).to_vec());
        if let Some(target) = records.remove(&b"linkpath"[..]) {
            link = target;
        }
        if typeflag == b'S' || records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
            return Err(ReadError::Sparse { path });
        }
        let mut taken = |key: &[u8], fault: &'static str| -> Result<Option<u64>, ReadError> {
            let Some(value) = records.remove(key) else {
                return Ok(None);
            };
            decimal(&value).map(Some).ok_or(ReadError::Header { offset: at, fault })
        };
        let size = taken(b"size", "its size record is not a number")?.unwrap_or(size);
        let uid = match taken(b"uid", "its uid record is not a number")? {
            Some(uid) => uid,
            None => number(block, header::UID, at, "uid")?,
        };
        let gid = match taken(b"gid", "its gid record is not a number")? {
            Some(gid) => gid,
            None => number(block, header::GID, at, "gid")?,
        };
        let narrow = |id: u64, fault| u32::try_from(id).map_err(|_| ReadError::Header { offset: at, fault });
        let mtime = match records.remove(&b"mtime"[..]) {
            Some(text) => time(&text).ok_or(ReadError::Header {
                offset: at,
                fault: "its mtime record is not a time",
            })?,
            None => Time::from_seconds(header::number(block, header::MTIME).unwrap_or(0)),
        };
        let mode = number(block, header::MODE, at, "mode")?;
        let mut meta = Meta::new((mode & 0o7777) as u32, mtime);
        meta.uid = narrow(uid, "its uid is above 32 bits")?;
        meta.gid = narrow(gid, "its gid is above 32 bits")?;
        for (key, value) in records {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                if name.is_empty() || name.len() > MAX_XATTR_NAME || name.contains(&0) {
                    return Err(ReadError::Header {
                        offset: at,
                        fault: "Linux does not accept the name of an extended attribute",
                    });
                }
                meta.xattrs.insert(name.to_vec(), value);
            }
        }
        let device = || -> Result<Device, ReadError> {
            Ok(Device {
                major: narrow(
                    number(block, header::DEVMAJOR, at, "device number")?,
                    "its major is too large",
                )?,
                minor: narrow(
                    number(block, header::DEVMINOR, at, "device number")?,
                    "its minor is too large",
                )?,
            })
        };
        let body = match typeflag {
            b'5' => Body::Node(Kind::directory()),
            // Before POSIX a directory was a file with a slash at the end of its name.
            b'0' | 0 if path.ends_with(b"/") => Body::Node(Kind::directory()),
            b'0' | 0 | b'7' => {
                let (start, len) = self.content(size, &path)?;
                Body::Node(Kind::File(self.archive.part(start, len)))
            }
            b'1' => Body::Link(link),
            b'2' => Body::Node(Kind::Symlink(link)),
            b'3' => Body::Node(Kind::CharDevice(device()?)),
            b'4' => Body::Node(Kind::BlockDevice(device()?)),
            b'6' => Body::Node(Kind::Fifo),
            _ => {
                return Err(ReadError::Header {
                    offset: at,
                    fault: "its type is unknown",
                });
            }
        };
        Ok(Entry { path, meta, body })
    }
}

/// Returns the name in the header itself, with the prefix that ustar adds to long ones.
fn header_name(block: &Block) -> Vec<u8> {
    let name = header::text(block, header::NAME);
    let prefix = header::text(block, header::PREFIX);
    // The format of GNU ("ustar  ") has other fields in place of the prefix.
    if header::field(block, header::MAGIC).starts_with(b"ustar\0") && !prefix.is_empty() {
        return [prefix, b"/", name].concat();
    }
    name.to_vec()
}

fn number(block: &Block, range: std::ops::Range<usize>, at: u64, field: &str) -> Result<u64, ReadError> {
    header::number(block, range)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(ReadError::Header {
            offset: at,
            fault: match field {
                "size" => "its size is not a number",
                "uid" => "its uid is not a number",
                "gid" => "its gid is not a number",
                "mode" => "its mode is not a number",
                _ => "its device number is not a number",
            },
        })
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Parses records "LEN KEY=VALUE\n" (pax Extended Header).
fn records(mut bytes: &[u8], at: u64) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ReadError> {
    let bad = ReadError::Header {
        offset: at,
        fault: "its pax records are invalid",
    };
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        // Some writers pad with zeros.
        if bytes.iter().all(|&byte| byte == 0) {
            break;
        }
        let record = (|| {
            let space = bytes.iter().position(|&byte| byte == b' ')?;
            let len = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
            let body = bytes.get(space + 1..len)?.strip_suffix(b"\n")?;
            let equals = body.iter().position(|&byte| byte == b'=')?;
            Some((len, body.get(..equals)?, body.get(equals + 1..)?))
        })();
        let Some((len, key, value)) = record else {
            return Err(bad);
        };
        if value.is_empty() {
            records.remove(key);
        } else {
            records.insert(key.to_vec(), value.to_vec());
        }
        bytes = bytes.get(len..).unwrap_or_default();
    }
    Ok(records)
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses seconds with an optional fraction and sign.
fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = integer.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if integer.starts_with('-') && nanoseconds > 0 {
        return Some(Time {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(Time { seconds, nanoseconds })
}
