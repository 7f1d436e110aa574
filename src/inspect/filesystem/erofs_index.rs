//! Compressed files of EROFS that have an index of 8 bytes a block (Linux, fs/erofs/erofs_fs.h,
//! `z_erofs_vle_decompressed_index`), which the crate reads for pieces of one block only.
//!
//! ```text
//! inode │ attributes │ to 8 bytes │ header, 8 bytes │ zeros, 8 bytes │ entry for 4096 plain bytes │ ...
//! ```

use std::io::{self, Write};

use extents::Extents;

const BLOCK: u64 = 4096;
/// The fields `blkszbits` and `meta_blkaddr` of the superblock, which is at byte 1024.
const BLOCK_BITS: u64 = 1024 + 12;
const META: u64 = 1024 + 40;
/// Numbers of inodes count units of this many bytes.
const SLOT: u64 = 32;
/// The layout `EROFS_INODE_COMPRESSED_FULL`.
const FULL_INDEX: u16 = 1;
/// The header of the index and the zeros behind it, and an entry, in bytes.
const HEADER: u64 = 16;
const ENTRY: u64 = 8;
/// Types of entries (`Z_EROFS_LCLUSTER_TYPE_PLAIN`, `_HEAD1`, `_NONHEAD`).
const PLAIN: u16 = 0;
const HEAD: u16 = 1;
const NOT_HEAD: u16 = 2;
/// Marks a number of blocks (`Z_EROFS_LI_D0_CBLKCNT`).
const BLOCKS: u16 = 1 << 11;
/// The most plain bytes of a piece (`Z_EROFS_PCLUSTER_MAX_SIZE`).
const LONGEST_PIECE: u64 = 1 << 20;

/// Writes the content of a file of this kind; says whether the inode is one.
///
/// # Errors
/// An index that is damaged or has what is not read here, and what reading or writing fails with.
pub fn read(content: &Extents, inode: u64, out: &mut dyn Write) -> io::Result<bool> {
    let image = Image(content);
    let at = (image.number(META, 4)?.checked_mul(BLOCK))
        .zip(inode.checked_mul(SLOT))
        .and_then(|(meta, slot)| meta.checked_add(slot))
        .ok_or_else(damaged)?;
    let format = image.number(at, 2)? as u16;
    if format >> 1 & 7 != FULL_INDEX || image.number(BLOCK_BITS, 1)? != 12 {
        return Ok(false);
    }
    let extended = format & 1 == 1;
    let size = image.number(at + 8, if extended { 8 } else { 4 })?;
    let attributes = match image.number(at + 2, 2)? {
        0 => 0,
        count => 12 + 4 * (count - 1),
    };
    let header = (at + if extended { 64 } else { 32 } + attributes).next_multiple_of(8);
    // The algorithm LZ4, and an entry for each block.
    if image.number(header + 6, 2)? != 0 {
        return Err(other("it is not compressed by LZ4 as moby does it"));
    }
    let count = size.div_ceil(BLOCK);
    let entry = |index: u64| -> io::Result<Entry> {
        let at = header + HEADER + index * ENTRY;
        Ok(Entry {
            kind: image.number(at, 2)? as u16 & 3,
            within: image.number(at + 2, 2)?,
            block: image.number(at + 4, 4)?,
        })
    };
    let (mut index, mut done) = (0, 0);
    while index < count {
        let head = entry(index)?;
        if head.within != 0 || done != index * BLOCK {
            return Err(damaged());
        }
        if head.kind == PLAIN {
            let len = BLOCK.min(size - done);
            let part = content.part(head.block * BLOCK, len);
            if part.len() != len {
                return Err(damaged());
            }
            extents::emit::stream(&part, out)?;
            (index, done) = (index + 1, done + part.len());
            continue;
        }
        if head.kind != HEAD {
            return Err(damaged());
        }
        let (mut next, mut blocks, mut end) = (index + 1, 1, None);
        while next < count && end.is_none() {
            let follower = entry(next)?;
            if follower.kind != NOT_HEAD {
                end = Some(next * BLOCK + follower.within);
                // The rest of a file that does not end with a block.
                next += u64::from(follower.within > 0);
                break;
            }
            if next == index + 1 && follower.block as u16 & BLOCKS != 0 {
                blocks = u64::from(follower.block as u16 & !BLOCKS);
            }
            next += 1;
        }
        let end = end.unwrap_or(size);
        let len = end.checked_sub(done).filter(|len| *len <= LONGEST_PIECE);
        let len = len.filter(|_| end <= size && blocks * BLOCK <= LONGEST_PIECE);
        let packed = content.part(head.block * BLOCK, blocks * BLOCK).to_vec()?;
        out.write_all(&unpacked(&packed, len.ok_or_else(damaged)?)?)?;
        (index, done) = (next, end);
    }
    Ok(true)
}

struct Entry {
    kind: u16,
    within: u64,
    block: u64,
}

/// What a piece unpacks to; zeros stand before it (`EROFS_FEATURE_INCOMPAT_ZERO_PADDING`).
fn unpacked(packed: &[u8], len: u64) -> io::Result<Vec<u8>> {
    let start = packed.iter().position(|byte| *byte != 0).unwrap_or(packed.len());
    let mut plain = vec![0; len as usize];
    let found = lz4_flex::block::decompress_into(packed.get(start..).unwrap_or_default(), &mut plain);
    match found.map_err(io::Error::other)? as u64 == len {
        true => Ok(plain),
        false => Err(damaged()),
    }
}

struct Image<'a>(&'a Extents);

impl Image<'_> {
    /// A number of `len` bytes, the lowest first.
    fn number(&self, at: u64, len: usize) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(bytes.get_mut(..len).unwrap_or_default(), at)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn damaged() -> io::Error {
    other("the index of a compressed file is damaged")
}

fn other(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
