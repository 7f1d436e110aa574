//! Inodes (`struct erofs_inode_compact`, `struct erofs_inode_extended`).

use tree::{Kind, Time};

use crate::bytes::{put16, put32, put64};

/// The lengths of both forms in bytes.
const COMPACT: usize = 32;
const EXTENDED: usize = 64;

/// How the content is laid out (`EROFS_INODE_FLAT_PLAIN` and its neighbours).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In blocks, one after another.
    Plain = 0,
    /// Compressed, with an index of 8 bytes a block.
    Compressed = 1,
    /// In blocks, and the rest behind the inode.
    Inline = 2,
    /// In chunks, with a list of them.
    Chunks = 4,
}

/// What the fields are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inode {
    pub(crate) layout: Layout,
    /// The length of its attributes as it stands in the inode ([`crate::xattr::count`]).
    pub(crate) xattr_icount: u16,
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) nlink: u32,
    pub(crate) size: u64,
    /// First block, device, number of compressed blocks or format of chunks.
    pub(crate) union: u32,
    /// A number for programs that know no long ones.
    pub(crate) ino: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
}

/// Whether an inode needs the long form.
pub(crate) fn is_extended(size: u64, nlink: u32, meta: &tree::Meta, build_time: Time) -> bool {
    let short = |number: u32| u16::try_from(number).is_ok();
    meta.mtime != build_time || !(short(meta.uid) && short(meta.gid) && short(nlink)) || u32::try_from(size).is_err()
}

/// The length of an inode in bytes.
pub(crate) fn len(extended: bool) -> usize {
    if extended { EXTENDED } else { COMPACT }
}

impl Inode {
    /// The inode in its short or its long form.
    pub(crate) fn encode(&self, extended: bool) -> Vec<u8> {
        let mut inode = vec![0; len(extended)];
        put16(&mut inode, 0, u16::from(extended) | (self.layout as u16) << 1);
        put16(&mut inode, 2, self.xattr_icount);
        put16(&mut inode, 4, self.mode);
        put32(&mut inode, 16, self.union);
        put32(&mut inode, 20, self.ino);
        if extended {
            put64(&mut inode, 8, self.size);
            put32(&mut inode, 24, self.uid);
            put32(&mut inode, 28, self.gid);
            // Times before 1970 are negative.
            put64(&mut inode, 32, self.mtime.seconds as u64);
            put32(&mut inode, 40, self.mtime.nanoseconds);
            put32(&mut inode, 44, self.nlink);
        } else {
            // What is_extended() found short.
            put16(&mut inode, 6, self.nlink as u16);
            put32(&mut inode, 8, self.size as u32);
            put16(&mut inode, 24, self.uid as u16);
            put16(&mut inode, 26, self.gid as u16);
        }
        inode
    }
}

/// The bits of the mode that say the type (`S_IFMT`), and the type in folders (`EROFS_FT_...`).
pub(crate) fn kind(kind: &Kind) -> (u16, u8) {
    match kind {
        Kind::File(_) => (0o100_000, 1),
        Kind::Directory(_) => (0o040_000, 2),
        Kind::CharDevice(_) => (0o020_000, 3),
        Kind::BlockDevice(_) => (0o060_000, 4),
        Kind::Fifo => (0o010_000, 5),
        Kind::Socket => (0o140_000, 6),
        Kind::Symlink(_) => (0o120_000, 7),
    }
}
