//! Fields of EROFS inodes that the crate `lamfold-erofs` does not return (Linux, fs/erofs/erofs_fs.h,
//! `erofs_inode_compact` and `erofs_inode_extended`).

use std::io;

use extents::Extents;
use tree::Device;

/// Offset of the field `meta_blkaddr`; the superblock is at byte 1024.
const META: u64 = 1024 + 40;
/// Offset of the field `blkszbits`.
const BLOCK_BITS: u64 = 1024 + 12;
/// Unit in which inode numbers count, in bytes.
const SLOT: u64 = 32;

/// Inode.
pub struct Inode {
    /// Type and permission bits.
    pub mode: u32,
    /// User ID and group ID.
    pub owner: (u32, u32),
    /// Time of last modification, in seconds since 1970; only an extended inode has one.
    pub mtime: Option<i64>,
    /// Device number; meaningless for other types.
    pub device: Device,
}

/// Reads an inode by its number.
///
/// # Errors
/// A number beyond the end of the filesystem.
pub fn read(content: &Extents, inode: u64) -> io::Result<Inode> {
    let outside = || io::Error::new(io::ErrorKind::InvalidData, "an inode is outside of the filesystem");
    let number = |at: u64, len: usize| -> io::Result<u64> {
        let mut bytes = [0; 8];
        content.read_exact_at(bytes.get_mut(..len).unwrap_or_default(), at)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let block = 1u64.checked_shl(number(BLOCK_BITS, 1)? as u32).ok_or_else(outside)?;
    let meta = number(META, 4)?.checked_mul(block).ok_or_else(outside)?;
    let at = inode.checked_mul(SLOT).and_then(|slot| slot.checked_add(meta));
    let at = at.filter(|at| *at < content.len()).ok_or_else(outside)?;
    let is_extended = number(at, 2)? & 1 == 1;
    let (owner, mtime) = if is_extended {
        (
            (number(at + 24, 4)?, number(at + 28, 4)?),
            Some(number(at + 32, 8)? as i64),
        )
    } else {
        ((number(at + 24, 2)?, number(at + 26, 2)?), None)
    };
    Ok(Inode {
        mode: number(at + 4, 2)? as u32,
        owner: (owner.0 as u32, owner.1 as u32),
        mtime,
        device: Device::from_encoded(number(at + 16, 4)? as u32),
    })
}
