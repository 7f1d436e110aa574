//! Extended attributes (ext4, Extended Attributes).
//!
//! ```text
//! inode  magic │ entry │ entry │ 0 ...          ... value │ value    after its fields, 96 bytes
//! block  header, 32 bytes │ entry │ entry │ 0 ... ... value │ value
//! ```
//!
//! Entries are sorted. Those that fit are in the inode, the others in one block, which is not
//! shared with other inodes.

use std::collections::BTreeMap;

use crate::bytes::{put, put16, put32};
use crate::checksum::Checksum;
use crate::error::Error;
use crate::inode::ATTRIBUTES;
use crate::{BLOCK, MAX_XATTR_NAME_LEN, acl};

/// Magic of both areas (`h_magic`).
const MAGIC: u32 = 0xea02_0000;
/// Lengths of the header of the block, and of an entry without its name, in bytes.
const BLOCK_HEADER: usize = 32;
const ENTRY: usize = 16;
/// Length of the zeros after the last entry, in bytes.
const END: usize = 4;

/// Prefixes of names and their numbers (ext4, Extended Attributes: `e_name_index`). The two access
/// control lists, which are complete names, come before their prefix.
const PREFIXES: [(&[u8], u8); 6] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
    (b"system.", 7),
];

/// Encoded extended attributes of an inode.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Bytes after the fields of the inode; empty if there are none.
    pub inode: Vec<u8>,
    /// Block without its checksum.
    pub block: Option<Vec<u8>>,
}

struct Attribute<'a> {
    index: u8,
    name: &'a [u8],
    value: Vec<u8>,
}

impl<'a> Attribute<'a> {
    fn new(name: &'a [u8], value: &[u8]) -> Result<Self, &'static str> {
        let (prefix, index) = PREFIXES
            .into_iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .ok_or("its prefix is none of user, trusted, security and system")?;
        let rest = name.get(prefix.len()..).unwrap_or_default();
        let list = matches!(index, 2 | 3);
        if rest.is_empty() != list {
            return Err("no attribute has this name");
        }
        if rest.len() > MAX_XATTR_NAME_LEN {
            return Err("its name is too long");
        }
        if rest.contains(&0) {
            return Err("its name has a zero byte");
        }
        let value = if list {
            acl::to_disk(value).ok_or("it is not an access control list")?
        } else {
            value.to_vec()
        };
        Ok(Attribute {
            index,
            name: rest,
            value,
        })
    }

    fn entry_len(&self) -> usize {
        (ENTRY + self.name.len()).next_multiple_of(4)
    }

    fn value_len(&self) -> usize {
        self.value.len().next_multiple_of(4)
    }

    fn len(&self) -> usize {
        self.entry_len() + self.value_len()
    }

    /// Hashes name and value (ext4, Extended Attributes: `e_hash`).
    fn hash(&self) -> u32 {
        let name = self
            .name
            .iter()
            .fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        self.value.chunks(4).fold(name, |hash, chunk| {
            let mut word = [0; 4];
            put(&mut word, 0, chunk);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

/// Encodes the attributes of the node at a path.
pub fn encode(path: &[u8], xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Attributes, Error> {
    let mut attributes = Vec::new();
    for (name, value) in xattrs {
        attributes.push(Attribute::new(name, value).map_err(|fault| Error::Attribute {
            path: path.to_vec(),
            name: name.clone(),
            fault,
        })?);
    }
    attributes.sort_by(|a, b| (a.index, a.name.len(), a.name).cmp(&(b.index, b.name.len(), b.name)));
    let len: usize = attributes.iter().map(Attribute::len).sum();
    // Without the magic and the zeros at the end.
    let mut free = ATTRIBUTES - 4 - END;
    let (inside, outside): (Vec<_>, Vec<_>) = attributes.into_iter().partition(|attribute| {
        let fits = attribute.len() <= free;
        if fits {
            free -= attribute.len();
        }
        fits
    });
    let outside_len: usize = outside.iter().map(Attribute::len).sum();
    if BLOCK_HEADER + outside_len + END > BLOCK as usize {
        return Err(Error::Attributes {
            path: path.to_vec(),
            len,
        });
    }
    let mut encoded = Attributes::default();
    if !inside.is_empty() {
        encoded.inode = vec![0; ATTRIBUTES];
        put32(&mut encoded.inode, 0, MAGIC);
        // Offsets of values count from the first entry.
        fill(&mut encoded.inode, 4, 4, &inside);
    }
    if !outside.is_empty() {
        let mut block = vec![0; BLOCK as usize];
        put32(&mut block, 0, MAGIC);
        // Used by one inode; one block long.
        put32(&mut block, 4, 1);
        put32(&mut block, 8, 1);
        let hash = outside
            .iter()
            .fold(0u32, |hash, attribute| hash.rotate_left(16) ^ attribute.hash());
        // ext4, Extended Attributes: `h_hash` is 0 when an entry has no hash.
        let all = outside.iter().all(|attribute| attribute.hash() != 0);
        put32(&mut block, 12, if all { hash } else { 0 });
        fill(&mut block, BLOCK_HEADER, 0, &outside);
        encoded.block = Some(block);
    }
    Ok(encoded)
}

/// Puts entries from `start` on, and values from the end backwards.
fn fill(area: &mut [u8], start: usize, origin: usize, attributes: &[Attribute]) {
    let (mut at, mut end) = (start, area.len());
    for attribute in attributes {
        end -= attribute.value_len();
        let offset = if attribute.value.is_empty() { 0 } else { end - origin };
        put(area, at, &[attribute.name.len() as u8, attribute.index]);
        put16(area, at + 2, offset as u16);
        put32(area, at + 8, attribute.value.len() as u32);
        put32(area, at + 12, attribute.hash());
        put(area, at + ENTRY, attribute.name);
        put(area, end, &attribute.value);
        at += attribute.entry_len();
    }
}

/// Puts the checksum into the block, which covers its number (ext4, Checksums: xattr blocks).
pub fn seal(block: &mut [u8], number: u64, checksum: Option<Checksum>) {
    if let Some(checksum) = checksum {
        let sum = checksum.then(&number.to_le_bytes()).then(block);
        put32(block, 16, sum.value());
    }
}
