//! Blocks of directory entries (ext4, Directory Entries).
//!
//! ```text
//! entry   u32 inode │ u16 length of the entry │ u8 length of the name │ u8 type │ name
//! block   entry │ entry │ ... up to the end       with checksums an entry of 12 bytes ends it
//! ```

use crate::BLOCK;
use crate::bytes::{put16, put32};
use crate::checksum::Checksum;

/// Length of a block of entries in bytes.
pub const SIZE: usize = BLOCK as usize;
/// Length of an entry without its name, in bytes.
const HEADER: usize = 8;
/// Length of the entry that holds the checksum, in bytes (`ext4_dir_entry_tail`).
const TAIL: usize = 12;
const TAIL_TYPE: u8 = 0xde;
/// File type of a directory in an entry.
pub const TYPE_DIRECTORY: u8 = 2;

/// Name in a directory.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    pub name: &'a [u8],
    pub inode: u32,
    /// File type: 1 for a regular file, 2 for a directory and so on (`file_type`).
    pub kind: u8,
}

impl Name<'_> {
    /// Returns the length of the entry in bytes.
    fn len(&self) -> usize {
        (HEADER + self.name.len()).next_multiple_of(4)
    }
}

/// Properties that all blocks of a directory share.
#[derive(Clone, Copy, Debug)]
pub struct Directory {
    pub inode: u32,
    pub parent: u32,
    /// Seed of the checksums, if the filesystem has checksums ([`Checksum::of_inode`]).
    pub checksum: Option<Checksum>,
    pub hash_seed: [u32; 4],
    /// Minimum number of blocks of a directory without index.
    pub min_blocks: usize,
}

impl Directory {
    /// Returns the two entries that every directory begins with.
    pub fn dots(&self) -> [Name<'static>; 2] {
        [(&b"."[..], self.inode), (&b".."[..], self.parent)].map(|(name, inode)| Name {
            name,
            inode,
            kind: TYPE_DIRECTORY,
        })
    }
}

/// Block of entries under construction.
pub struct EntryBlock {
    bytes: Vec<u8>,
    /// Offset of the last entry.
    last: usize,
    checksum: Option<Checksum>,
}

impl EntryBlock {
    pub fn new(checksum: Option<Checksum>) -> Self {
        EntryBlock {
            bytes: Vec::with_capacity(SIZE),
            last: 0,
            checksum,
        }
    }

    fn usable(&self) -> usize {
        if self.checksum.is_some() { SIZE - TAIL } else { SIZE }
    }

    /// Appends an entry; returns false if it does not fit.
    pub fn push(&mut self, name: &Name) -> bool {
        let (at, len) = (self.bytes.len(), name.len());
        if at + len > self.usable() {
            return false;
        }
        self.last = at;
        self.bytes.extend(name.inode.to_le_bytes());
        self.bytes.extend((len as u16).to_le_bytes());
        // Names in a tree have at most 255 bytes.
        self.bytes.extend([name.name.len() as u8, name.kind]);
        self.bytes.extend(name.name);
        self.bytes.resize(at + len, 0);
        true
    }

    /// Returns the block, whose last entry is extended to the end.
    pub fn finish(mut self) -> Vec<u8> {
        let rest = self.usable() - self.last;
        self.bytes.resize(SIZE, 0);
        put16(&mut self.bytes, self.last + 4, rest as u16);
        if let Some(checksum) = self.checksum {
            let tail = SIZE - TAIL;
            let sum = checksum.then(self.bytes.get(..tail).unwrap_or_default());
            put16(&mut self.bytes, tail + 4, TAIL as u16);
            put16(&mut self.bytes, tail + 6, u16::from_be_bytes([TAIL_TYPE, 0]));
            put32(&mut self.bytes, tail + 8, sum.value());
        }
        self.bytes
    }
}
