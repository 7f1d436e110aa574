//! Inodes (`struct erofs_inode_compact`, `struct erofs_inode_extended`).

use tree::{Kind, Time};

use crate::bytes::{put16, put32, put64};

/// Lengths of both forms in bytes.
const COMPACT: usize = 32;
const EXTENDED: usize = 64;

/// Layout of the content (`EROFS_INODE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Contiguous blocks.
    Plain = 0,
    /// Compressed pieces, with an index of 8 bytes a block.
    Compressed = 1,
    /// Contiguous blocks, and a tail that follows the inode.
    Inline = 2,
    /// Chunks, with a list of them.
    Chunks = 4,
}

/// Fields of an inode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inode {
    pub(crate) layout: Layout,
    /// Encoded length of the extended attributes ([`crate::xattr::count`]).
    pub(crate) xattr_icount: u16,
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) nlink: u32,
    pub(crate) size: u64,
    /// First block, device number, number of compressed blocks or format of chunks (`i_u`).
    pub(crate) union: u32,
    /// Number for programs that do not support 64-bit numbers.
    pub(crate) ino: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
}

/// Returns whether an inode needs the long form.
pub(crate) fn is_extended(size: u64, nlink: u32, meta: &tree::Meta, build_time: Time) -> bool {
    let short = |number: u32| u16::try_from(number).is_ok();
    meta.mtime != build_time || !(short(meta.uid) && short(meta.gid) && short(nlink)) || u32::try_from(size).is_err()
}

/// Returns the length of an inode in bytes.
pub(crate) fn len(extended: bool) -> usize {
    if extended { EXTENDED } else { COMPACT }
}

impl Inode {
    /// Encodes the inode in its short or its long form.
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
            // is_extended() checked that the numbers fit.
            put16(&mut inode, 6, self.nlink as u16);
            put32(&mut inode, 8, self.size as u32);
            put16(&mut inode, 24, self.uid as u16);
            put16(&mut inode, 26, self.gid as u16);
        }
        inode
    }
}

/// Returns the type in the mode (`S_IFMT`) and in directory entries (`EROFS_FT_*`).
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
