//! Files of EROFS compressed by LZ4 that have an index of 8 bytes a block (Linux, fs/erofs/erofs_fs.h,
//! `z_erofs_vle_decompressed_index`), which the crate does not read.
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
/// The field `feature_incompat`, and its bit for zeros before what is compressed and not behind
/// (`EROFS_FEATURE_INCOMPAT_ZERO_PADDING`).
const FEATURES: u64 = 1024 + 80;
const ZERO_PADDING: u64 = 1;
/// Numbers of inodes count units of this many bytes.
const SLOT: u64 = 32;
/// The layout `EROFS_INODE_COMPRESSED_FULL`.
const FULL_INDEX: u16 = 1;
/// The header of the index and the zeros behind it, and an entry, in bytes.
const HEADER: u64 = 16;
const ENTRY: u64 = 8;
/// The fields `h_advise` and `h_algorithmtype`.
const ADVISE: u64 = 4;
const ALGORITHM: u64 = 6;
/// Pieces may have several blocks (`Z_EROFS_ADVISE_BIG_PCLUSTER_1`); nothing else is known here.
const BIG_PIECES: u64 = 2;
/// Types of entries (`Z_EROFS_LCLUSTER_TYPE_PLAIN`, `_NONHEAD`; others begin a compressed piece).
const PLAIN: u16 = 0;
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
    // LZ4, an entry for each block, and all of them in the index.
    let advise = image.number(header + ADVISE, 2)? & !BIG_PIECES;
    let padded = image.number(FEATURES, 4)? & ZERO_PADDING != 0;
    if advise != 0 || !padded || image.number(header + ALGORITHM, 2)? != 0 {
        return Err(other("it is compressed in a way that is not read here"));
    }
    let mut last: Option<Piece> = None;
    for index in 0..size.div_ceil(BLOCK) {
        let at = header + HEADER + index * ENTRY;
        let kind = image.number(at, 2)? as u16 & 3;
        if kind != NOT_HEAD {
            let start = index * BLOCK + image.number(at + 2, 2)?;
            let next = Piece {
                start,
                plain: kind == PLAIN,
                block: image.number(at + 4, 4)?,
                blocks: 1,
            };
            if let Some(piece) = last.replace(next) {
                image.unpack(&piece, start.min(size), out)?;
            }
            continue;
        }
        // The first entry behind a piece's own says how many blocks it has.
        let blocks = image.number(at + 4, 2)? as u16;
        if let (Some(piece), true) = (&mut last, blocks & BLOCKS != 0) {
            piece.blocks = u64::from(blocks & !BLOCKS);
        }
    }
    if let Some(piece) = last {
        image.unpack(&piece, size, out)?;
    }
    Ok(true)
}

/// What is compressed by itself.
struct Piece {
    /// The first plain byte.
    start: u64,
    /// Whether it is there as it is.
    plain: bool,
    /// Its first block, and how many there are.
    block: u64,
    blocks: u64,
}

struct Image<'a>(&'a Extents);

impl Image<'_> {
    /// Writes a piece that goes up to a plain byte.
    fn unpack(&self, piece: &Piece, end: u64, out: &mut dyn Write) -> io::Result<()> {
        let len = end.checked_sub(piece.start).ok_or_else(damaged)?;
        let packed = piece.blocks * BLOCK;
        if len > LONGEST_PIECE || packed > LONGEST_PIECE || piece.plain && len > packed {
            return Err(damaged());
        }
        let packed = self.0.part(piece.block * BLOCK, packed).to_vec()?;
        if piece.plain {
            return out.write_all(packed.get(..len as usize).ok_or_else(damaged)?);
        }
        // No compressed piece begins with a zero.
        let start = packed.iter().position(|byte| *byte != 0).unwrap_or(packed.len());
        let mut plain = vec![0; len as usize];
        let found = lz4_flex::block::decompress_into(packed.get(start..).unwrap_or_default(), &mut plain);
        if found.map_err(io::Error::other)? as u64 != len {
            return Err(damaged());
        }
        out.write_all(&plain)
    }

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
