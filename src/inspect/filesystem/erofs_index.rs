//! EROFS files compressed by LZ4 with an index entry of 8 bytes for each block (Linux,
//! fs/erofs/erofs_fs.h, `z_erofs_lcluster_index`), which the crate `lamfold-erofs` does not read.
//!
//! ```text
//! inode │ attributes │ to 8 bytes │ header, 8 bytes │ zeros, 8 bytes │ entry for 4096 plain bytes │ ...
//! ```

use std::io::{self, Write};

use extents::Extents;

const BLOCK: u64 = 4096;
/// Offsets of the fields `blkszbits` and `meta_blkaddr`; the superblock is at byte 1024.
const BLOCK_BITS: u64 = 1024 + 12;
const META: u64 = 1024 + 40;
/// Offset of the field `feature_incompat`, and its bit for zeros before compressed data rather
/// than after it (`EROFS_FEATURE_INCOMPAT_ZERO_PADDING`).
const FEATURES: u64 = 1024 + 80;
const ZERO_PADDING: u64 = 1;
/// Unit in which inode numbers count, in bytes.
const SLOT: u64 = 32;
/// The layout `EROFS_INODE_COMPRESSED_FULL`.
const FULL_INDEX: u16 = 1;
/// Length of the index's header with the zeros behind it, in bytes.
const HEADER: u64 = 16;
/// Length of an entry, in bytes.
const ENTRY: u64 = 8;
/// Offsets of the fields `h_advise` and `h_algorithmtype` in the header.
const ADVISE: u64 = 4;
const ALGORITHM: u64 = 6;
/// Clusters may have several blocks (`Z_EROFS_ADVISE_BIG_PCLUSTER_1`). Other bits are not supported.
const BIG_CLUSTERS: u64 = 2;
/// Types of entries (`Z_EROFS_LCLUSTER_TYPE_PLAIN`, `_NONHEAD`); the others begin a compressed cluster.
const PLAIN: u16 = 0;
const NOT_HEAD: u16 = 2;
/// Marks a number of blocks (`Z_EROFS_LI_D0_CBLKCNT`).
const BLOCK_COUNT: u16 = 1 << 11;
/// Maximum length of a cluster, in uncompressed bytes (`Z_EROFS_PCLUSTER_MAX_SIZE`).
const MAX_CLUSTER: u64 = 1 << 20;

/// Writes the content of a file that has such an index, and returns whether the inode has one.
///
/// # Errors
/// A corrupt index, features that are not supported, and failures to read or write.
pub fn read(content: &Extents, inode: u64, out: &mut dyn Write) -> io::Result<bool> {
    let image = Image(content);
    let at = (image.number(META, 4)?.checked_mul(BLOCK))
        .zip(inode.checked_mul(SLOT))
        .and_then(|(meta, slot)| meta.checked_add(slot))
        .ok_or_else(corrupt)?;
    let format = image.number(at, 2)? as u16;
    if format >> 1 & 7 != FULL_INDEX || image.number(BLOCK_BITS, 1)? != 12 {
        return Ok(false);
    }
    let is_extended = format & 1 == 1;
    let len = image.number(at.saturating_add(8), if is_extended { 8 } else { 4 })?;
    let attributes = match image.number(at.saturating_add(2), 2)? {
        0 => 0,
        count => 12 + 4 * (count - 1),
    };
    let inode_len = if is_extended { 64 } else { 32 };
    let header = at.checked_add(inode_len + attributes).ok_or_else(corrupt)?;
    let header = header.checked_next_multiple_of(8).ok_or_else(corrupt)?;
    let entries = header.checked_add(HEADER).ok_or_else(corrupt)?;
    let advise = image.number(header.saturating_add(ADVISE), 2)? & !BIG_CLUSTERS;
    let is_padded = image.number(FEATURES, 4)? & ZERO_PADDING != 0;
    if advise != 0 || !is_padded || image.number(header.saturating_add(ALGORITHM), 2)? != 0 {
        return Err(invalid("its compression is not supported"));
    }
    let mut last: Option<Cluster> = None;
    for index in 0..len.div_ceil(BLOCK) {
        let at = index.checked_mul(ENTRY).and_then(|offset| entries.checked_add(offset));
        let at = at.ok_or_else(corrupt)?;
        let kind = image.number(at, 2)? as u16 & 3;
        if kind != NOT_HEAD {
            let start = index
                .saturating_mul(BLOCK)
                .saturating_add(image.number(at.saturating_add(2), 2)?);
            let next = Cluster {
                start,
                is_plain: kind == PLAIN,
                block: image.number(at.saturating_add(4), 4)?,
                blocks: 1,
            };
            if let Some(cluster) = last.replace(next) {
                image.write_cluster(&cluster, start.min(len), out)?;
            }
            continue;
        }
        // The first entry after a cluster's own has its number of blocks.
        let blocks = image.number(at.saturating_add(4), 2)? as u16;
        if let Some(cluster) = &mut last
            && blocks & BLOCK_COUNT != 0
        {
            cluster.blocks = u64::from(blocks & !BLOCK_COUNT);
        }
    }
    if let Some(cluster) = last {
        image.write_cluster(&cluster, len, out)?;
    }
    Ok(true)
}

/// Physical cluster, compressed independently of the others.
struct Cluster {
    /// First uncompressed byte.
    start: u64,
    /// True if it is stored uncompressed.
    is_plain: bool,
    /// First block.
    block: u64,
    /// Number of blocks.
    blocks: u64,
}

struct Image<'a>(&'a Extents);

impl Image<'_> {
    /// Writes a cluster; `end` is the uncompressed byte after it.
    fn write_cluster(&self, cluster: &Cluster, end: u64, out: &mut dyn Write) -> io::Result<()> {
        let len = end.checked_sub(cluster.start).ok_or_else(corrupt)?;
        let stored = cluster.blocks * BLOCK;
        if len > MAX_CLUSTER || stored > MAX_CLUSTER || cluster.is_plain && len > stored {
            return Err(corrupt());
        }
        let stored = self.0.part(cluster.block * BLOCK, stored).to_vec()?;
        if cluster.is_plain {
            return out.write_all(stored.get(..len as usize).ok_or_else(corrupt)?);
        }
        // Compressed data does not begin with a zero.
        let start = stored.iter().position(|byte| *byte != 0).unwrap_or(stored.len());
        let mut plain = vec![0; len as usize];
        let written = lz4_flex::block::decompress_into(stored.get(start..).unwrap_or_default(), &mut plain);
        if written.map_err(io::Error::other)? as u64 != len {
            return Err(corrupt());
        }
        out.write_all(&plain)
    }

    /// Reads a little-endian number of `len` bytes.
    fn number(&self, at: u64, len: usize) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(bytes.get_mut(..len).unwrap_or_default(), at)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn corrupt() -> io::Error {
    invalid("the index of a compressed file is corrupt")
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
