//! Extended attributes (rst 3.7, "Xattr table").
//!
//! ```text
//! metadata blocks: sets, each  u16 prefix  u16 length  name  u32 length  value  ...
//! metadata blocks: for each set  u64 place  u32 number of attributes  u32 length in all
//! u64  offset of the first part    u32  number of sets     u32  0
//! u64  offset of a block of the second part; one for each
//! ```
//!
//! Inodes with equal attributes share a set.

use std::collections::BTreeMap;

use tree::Meta;

use crate::encoder::Encoder;
use crate::error::Error;
use crate::metadata::{Metadata, Place};
use crate::table::table;
use crate::{MAX_XATTR_NAME_LEN, MAX_XATTR_VALUE_LEN};

/// Number of the set of an inode without attributes (`SQUASHFS_INVALID_XATTR`).
pub(crate) const NONE: u32 = u32::MAX;
/// Prefixes in order of their numbers (`SQUASHFS_XATTR_*`).
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

type Set = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sets of attributes, in order of their first use.
pub(crate) struct Xattrs<'a> {
    numbers: BTreeMap<&'a Set, u32>,
    pairs: Metadata,
    sets: Vec<[u8; 16]>,
}

fn split(name: &[u8]) -> Option<(u16, &[u8])> {
    (0..)
        .zip(PREFIXES)
        .find_map(|(number, prefix)| Some((number, name.strip_prefix(prefix)?)))
}

/// Refuses attributes that cannot be stored.
pub(crate) fn check(path: &[u8], meta: &Meta) -> Result<(), Error> {
    for (name, value) in &meta.xattrs {
        let fault = match split(name) {
            None => "its name begins with none of user., trusted. and security.",
            Some((_, b"")) => "its name has nothing after the prefix",
            Some(_) if name.contains(&0) => "its name has a zero byte",
            Some(_) if name.len() > MAX_XATTR_NAME_LEN => "its name has more than 255 bytes",
            Some(_) if value.len() > MAX_XATTR_VALUE_LEN => "its value has more than 65536 bytes",
            Some(_) => continue,
        };
        return Err(Error::Attribute {
            path: path.to_vec(),
            name: name.clone(),
            fault,
        });
    }
    Ok(())
}

impl<'a> Xattrs<'a> {
    pub(crate) fn new(encoder: Encoder) -> Self {
        Xattrs {
            numbers: BTreeMap::new(),
            pairs: Metadata::new(encoder),
            sets: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Returns the number of the set of an inode, or [`NONE`].
    pub(crate) fn number(&mut self, meta: &'a Meta) -> Result<u32, Error> {
        if meta.xattrs.is_empty() {
            return Ok(NONE);
        }
        if let Some(number) = self.numbers.get(&meta.xattrs) {
            return Ok(*number);
        }
        // At most the number of inodes, which has 32 bits.
        let number = self.sets.len() as u32;
        let place = self.pairs.place();
        // Length of the names as Linux lists them, and of the values.
        let mut size: u32 = 0;
        for (full, value) in &meta.xattrs {
            let Some((prefix, name)) = split(full) else { continue };
            self.pairs.push(&prefix.to_le_bytes())?;
            self.pairs.push(&(name.len() as u16).to_le_bytes())?;
            self.pairs.push(name)?;
            self.pairs.push(&(value.len() as u32).to_le_bytes())?;
            self.pairs.push(value)?;
            size = size.saturating_add((full.len() + 1 + value.len()) as u32);
        }
        self.sets.push(set(place, meta.xattrs.len() as u32, size));
        self.numbers.insert(&meta.xattrs, number);
        Ok(number)
    }

    /// Encodes the table for the offset `base`; also returns the offset of its third part.
    pub(crate) fn finish(self, encoder: Encoder, base: u64) -> Result<(Vec<u8>, u64), Error> {
        let count = self.sets.len() as u32;
        let (mut bytes, _) = self.pairs.finish()?;
        let sets = table(self.sets.iter(), encoder, base + bytes.len() as u64)?;
        // The header comes before the list of blocks.
        let (blocks, list) = sets.bytes.split_at((sets.list - base) as usize - bytes.len());
        bytes.extend_from_slice(blocks);
        bytes.extend_from_slice(&base.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(list);
        Ok((bytes, sets.list))
    }
}

/// Encodes the description of a set (`struct squashfs_xattr_id`).
fn set(place: Place, count: u32, size: u32) -> [u8; 16] {
    let mut entry = [0; 16];
    let (reference, rest) = entry.split_at_mut(8);
    reference.copy_from_slice(&place.reference().to_le_bytes());
    let (first, second) = rest.split_at_mut(4);
    first.copy_from_slice(&count.to_le_bytes());
    second.copy_from_slice(&size.to_le_bytes());
    entry
}
