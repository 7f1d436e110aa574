//! Initrds: concatenated cpio archives (newc), the last one possibly compressed
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;

use extents::Extents;
use indicatif::BinaryBytes;
use tree::Device;

use super::budget::Budget;
use super::compressed::Compression;
use super::contents::{Contents, Descend, Entry, Metadata, Node};
use super::{Error, path};

const FORMAT: &str = "cpio archive";
/// Length of a header, in bytes.
const HEADER: usize = 110;
const MAGIC: &[u8] = b"070701";
/// Number of entries that are read.
const MAX_ENTRIES: usize = 4 << 20;
/// Maximum length of a name, in bytes: Linux's PATH_MAX.
const MAX_NAME: u64 = 4096;
/// Type bits of a mode, and their values for a regular file and a symbolic link.
const TYPE: u64 = 0o170_000;
const SYMLINK: u64 = 0o120_000;
const REGULAR: u64 = 0o100_000;

/// Returns whether `content` is a compressed cpio archive.
///
/// # Errors
/// Corrupt compressed data.
pub fn is_compressed(compression: Compression, content: &Extents) -> Result<bool, Error> {
    Ok(compression.peek(content, MAGIC.len() as u64)? == MAGIC)
}

/// Lists the files of an initrd.
///
/// # Errors
/// A corrupt or truncated archive, and those of [`Compression::decompress`].
pub fn open(head: &[u8], content: &Extents, budget: &Budget) -> Result<Option<Contents>, Error> {
    let mut entries = Vec::new();
    let mut rest = content.clone();
    let mut parts = Vec::new();
    let mut head = head.to_vec();
    loop {
        if head.starts_with(MAGIC) {
            let end = archive(&rest, &mut entries)?;
            parts.push("uncompressed");
            // The next archive begins after zeros, at a multiple of 4 bytes.
            rest = rest.part(end, u64::MAX);
            let ahead = rest.part(0, 1 << 16).to_vec()?;
            let Some(zeros) = ahead.iter().position(|byte| *byte != 0) else {
                break;
            };
            rest = rest.part(zeros as u64, u64::MAX);
            head = rest.part(0, 16).to_vec()?;
            continue;
        }
        let Some(compression) = Compression::detect(&head) else {
            break;
        };
        if is_compressed(compression, &rest)? {
            parts.push(compression.name());
            archive(&compression.decompress(&rest, budget)?, &mut entries)?;
        }
        break;
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let files = entries.iter().filter(|entry| entry.content().is_some()).count();
    Ok(Some(Contents {
        format: "initrd",
        summary: format!(
            "initrd ({}), {}, {} files",
            parts.join(", then "),
            BinaryBytes(content.len()),
            files
        ),
        details: Vec::new(),
        entries,
        descend: Descend::Nothing,
    }))
}

/// Files with one inode: their indexes in the list, and the content, which only one of them has.
type Inode = (Vec<usize>, Extents);

/// Adds the entries of an archive to `entries` and returns its length in bytes.
fn archive(archive: &Extents, entries: &mut Vec<Entry>) -> Result<u64, Error> {
    let mut at = 0u64;
    let mut inodes: BTreeMap<[u64; 3], Inode> = BTreeMap::new();
    loop {
        let truncated = |_| Error::Truncated {
            format: FORMAT,
            found: format!("it ends within the entry at byte {at}"),
        };
        let corrupt = |found: &str| Error::Corrupt {
            format: FORMAT,
            found: format!("{found} at byte {at}"),
        };
        let mut header = [0; HEADER];
        archive.read_exact_at(&mut header, at).map_err(truncated)?;
        if !header.starts_with(MAGIC) {
            return Err(corrupt("no magic number"));
        }
        let field = |index: usize| {
            let text = header
                .get(6 + index * 8..14 + index * 8)
                .and_then(|text| std::str::from_utf8(text).ok());
            let value = text.and_then(|text| u64::from_str_radix(text, 16).ok());
            value.ok_or_else(|| corrupt("a field that is not hexadecimal"))
        };
        let (mode, len, name_len) = (field(1)?, field(6)?, field(11)?);
        if name_len > MAX_NAME {
            return Err(corrupt(&format!("a name of {name_len} bytes")));
        }
        let name_at = at.saturating_add(HEADER as u64);
        let mut name = archive.part(name_at, name_len).to_vec()?;
        name.pop();
        // Lengths have 32 bits and cannot overflow 64.
        let data = (name_at + name_len).next_multiple_of(4);
        let end = (data + len).next_multiple_of(4);
        if name == b"TRAILER!!!" {
            for (indexes, content) in inodes.into_values() {
                for index in indexes {
                    if let Some(entry) = entries.get_mut(index) {
                        entry.node = Node::File(content.clone());
                    }
                }
            }
            return Ok(end);
        }
        let node = if mode & TYPE == REGULAR {
            let content = archive.part(data, len);
            if field(4)? > 1 {
                let (indexes, data) = inodes.entry([field(0)?, field(7)?, field(8)?]).or_default();
                indexes.push(entries.len());
                if len > 0 {
                    *data = content.clone();
                }
            }
            Node::File(content)
        } else if mode & TYPE == SYMLINK {
            // Linux refuses longer ones.
            Node::Symlink(archive.part(data, len.min(MAX_NAME)).to_vec()?)
        } else {
            let device = Device {
                major: field(9)? as u32,
                minor: field(10)? as u32,
            };
            Node::special(mode as u32, Some(device))
        };
        if entries.len() >= MAX_ENTRIES {
            return Err(Error::TooMany {
                format: FORMAT,
                items: "entries",
                limit: MAX_ENTRIES as u64,
            });
        }
        // The root directory itself.
        if name != b"." {
            entries.push(Entry {
                path: path::from_bytes(&name),
                node,
                metadata: Metadata {
                    mode: Some(mode as u32 & 0o7777),
                    owner: Some((field(2)? as u32, field(3)? as u32)),
                    mtime: Some(field(5)? as i64),
                    xattrs: None,
                },
            });
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use tree::Kind;

    use super::*;

    #[test]
    fn every_name_of_an_inode_has_its_content() {
        let sample = testing::sample::sample();
        let archive = ::cpio::plan(&sample).unwrap();
        let found = open(MAGIC, &archive, &Budget::for_len(0)).unwrap().unwrap().entries;
        let mut hard_links = 0;
        for named in sample.walk() {
            if let Kind::File(content) = &named.node.kind {
                let name = String::from_utf8_lossy(&named.path);
                let read = found.iter().find(|found| found.path == name).unwrap();
                assert_eq!(
                    read.content().unwrap().to_vec().unwrap(),
                    content.to_vec().unwrap(),
                    "{name}"
                );
                hard_links += usize::from(named.node.nlink() > 1);
            }
        }
        assert!(hard_links > 1);
    }
}
