//! Extended attributes (rst 3.7, "Xattr table").
//!
//! ```text
//! metadata blocks: sets, each  u16 prefix  u16 length  name  u32 length  value  ...
//! metadata blocks: for each set  u64 place  u32 how many  u32 length in all
//! u64  where the first begins      u32  how many sets      u32  0
//! u64  where a block of the second begins; one for each
//! ```
//!
//! Inodes with the same attributes share a set.

use std::collections::BTreeMap;

use tree::Meta;

use crate::compressor::Encoder;
use crate::metadata::{Metadata, Place};
use crate::table::table;
use crate::{Error, LONGEST_XATTR_NAME, LONGEST_XATTR_VALUE};

/// The inode has no attributes (`SQUASHFS_INVALID_XATTR`).
pub(crate) const NONE: u32 = u32::MAX;
/// The prefixes that have numbers (`SQUASHFS_XATTR_USER` and its neighbours).
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

type Set = BTreeMap<Vec<u8>, Vec<u8>>;

/// The sets met so far.
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
        let what = match split(name) {
            None => "it has names that start with user., trusted. and security. only",
            Some((_, b"")) => "the name has nothing behind its prefix",
            Some(_) if name.contains(&0) => "the name has a zero byte",
            Some(_) if name.len() > LONGEST_XATTR_NAME => "the name has more than 255 bytes",
            Some(_) if value.len() > LONGEST_XATTR_VALUE => "the value has more than 65536 bytes",
            Some(_) => continue,
        };
        return Err(Error::Xattr {
            path: path.to_vec(),
            name: name.clone(),
            what,
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

    /// The number of an inode's set, or [`NONE`].
    pub(crate) fn number(&mut self, meta: &'a Meta) -> Result<u32, Error> {
        if meta.xattrs.is_empty() {
            return Ok(NONE);
        }
        if let Some(number) = self.numbers.get(&meta.xattrs) {
            return Ok(*number);
        }
        // No more than there are inodes, and those have 32 bits.
        let number = self.sets.len() as u32;
        let place = self.pairs.place();
        // What listing them takes in Linux, and the values.
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

    /// The table, to stand at `base`, and where in the filesystem its third part begins.
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

/// `struct squashfs_xattr_id`.
fn set(place: Place, count: u32, size: u32) -> [u8; 16] {
    let mut entry = [0; 16];
    let (reference, rest) = entry.split_at_mut(8);
    reference.copy_from_slice(&place.reference().to_le_bytes());
    let (first, second) = rest.split_at_mut(4);
    first.copy_from_slice(&count.to_le_bytes());
    second.copy_from_slice(&size.to_le_bytes());
    entry
}
