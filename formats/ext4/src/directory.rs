//! Folders (ext4, Directory Entries).
//!
//! ```text
//! one block       . │ .. │ name │ name │ ...
//! more            the index of `htree`, and leaves: name │ name │ ...
//! with checksums  each block ends with an entry of 12 bytes that no name has
//! ```

use crate::BLOCK;
use crate::bytes::{put16, put32};
use crate::checksum::Checksum;
use crate::htree;

/// The length of a block of entries.
pub const SIZE: usize = BLOCK as usize;
/// An entry before its name: inode, length of the entry, length of the name, type.
const HEAD: usize = 8;
/// The entry that holds the checksum (ext4, Directory Entries: `ext4_dir_entry_tail`).
const TAIL: usize = 12;
const TAIL_TYPE: u8 = 0xde;
/// The type of a folder in an entry.
pub const TYPE_DIRECTORY: u8 = 2;

/// A name in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    pub name: &'a [u8],
    pub inode: u32,
    /// What it is: 1 a file, 2 a folder, ...
    pub kind: u8,
}

impl Name<'_> {
    /// The length of its entry.
    fn len(&self) -> usize {
        (HEAD + self.name.len()).next_multiple_of(4)
    }
}

/// What is the same for all blocks of a folder.
#[derive(Clone, Copy, Debug)]
pub struct Folder {
    pub inode: u32,
    pub parent: u32,
    /// The checksum of its inode's number, when there are checksums.
    pub checksum: Option<Checksum>,
    pub hash_seed: [u32; 4],
    /// How many blocks it has at least, if it has no index.
    pub least_blocks: usize,
}

/// A folder as it stands on disk.
#[derive(Debug)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    /// Whether it has an index.
    pub indexed: bool,
}

impl Folder {
    /// The blocks of a folder with these names; none when an index cannot hold so many.
    pub fn encode(&self, names: &[Name]) -> Option<Encoded> {
        let mut block = Block::new(self.checksum);
        let all = self.dots().iter().chain(names).all(|name| block.push(name));
        if !all {
            let bytes = htree::encode(self, names)?;
            return Some(Encoded { bytes, indexed: true });
        }
        let mut bytes = block.finish();
        while bytes.len() < self.least_blocks * SIZE {
            bytes.extend(Block::new(self.checksum).finish());
        }
        Some(Encoded { bytes, indexed: false })
    }

    /// The two entries that each folder begins with.
    pub fn dots(&self) -> [Name<'static>; 2] {
        [(&b"."[..], self.inode), (&b".."[..], self.parent)].map(|(name, inode)| Name {
            name,
            inode,
            kind: TYPE_DIRECTORY,
        })
    }
}

/// A block of entries in the making.
pub struct Block {
    bytes: Vec<u8>,
    last: usize,
    checksum: Option<Checksum>,
}

impl Block {
    pub fn new(checksum: Option<Checksum>) -> Self {
        Block {
            bytes: Vec::with_capacity(SIZE),
            last: 0,
            checksum,
        }
    }

    fn usable(&self) -> usize {
        if self.checksum.is_some() { SIZE - TAIL } else { SIZE }
    }

    /// Adds an entry, or says that there is no room.
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

    /// The block: the last entry reaches to the end.
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
