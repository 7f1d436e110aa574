//! Inodes (ext4, Inodes). All times are that of last modification.

use tree::Time;

use crate::bytes::{put, put_halves, put16, put32};
use crate::checksum::Checksum;

/// Length of an inode in bytes.
pub const INODE: usize = 256;
/// Length of the fields after the first 128 bytes, in bytes (ext4, Inode Size: `i_extra_isize`).
pub const EXTRA: usize = 32;
/// Length of the extended attributes in an inode, in bytes.
pub const ATTRIBUTES: usize = INODE - 128 - EXTRA;
/// Length of `i_block` in bytes: an extent tree, a short target of a link or a device number.
pub const I_BLOCK: usize = 60;

/// Numbers of inodes (ext4, Special inodes).
pub const ROOT: u32 = 2;
pub const RESIZE: u32 = 7;
pub const JOURNAL: u32 = 8;
pub const LOST_FOUND: u32 = 11;

/// Types in `i_mode`, and the mask of their bits.
pub const S_IFMT: u16 = 0xf000;
pub const S_IFIFO: u16 = 0x1000;
pub const S_IFCHR: u16 = 0x2000;
pub const S_IFDIR: u16 = 0x4000;
pub const S_IFBLK: u16 = 0x6000;
pub const S_IFREG: u16 = 0x8000;
pub const S_IFLNK: u16 = 0xa000;
pub const S_IFSOCK: u16 = 0xc000;

/// Bits of `i_flags`.
pub const IMMUTABLE_FL: u32 = 0x10;
pub const INDEX_FL: u32 = 0x1000;
pub const EXTENTS_FL: u32 = 0x8_0000;

/// Fields of an inode that do not depend on the positions of blocks.
#[derive(Clone, Debug)]
pub struct Inode {
    pub number: u32,
    /// Type and permissions.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub time: Time,
    pub nlink: u16,
    pub flags: u32,
}

/// Fields of an inode that depend on the positions of blocks.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    pub size: u64,
    /// Number of blocks in use, including those of the extent tree and of the attributes.
    pub blocks: u64,
    pub i_block: [u8; I_BLOCK],
    /// Extended attributes in the inode.
    pub attributes: &'a [u8],
    /// Block of the other extended attributes, or 0.
    pub attribute_block: u64,
}

impl Inode {
    /// Encodes the inode.
    pub fn encode(&self, content: &Content, checksum: Option<Checksum>) -> [u8; INODE] {
        let mut inode = [0; INODE];
        let (time, extra) = time(self.time);
        let sectors = content.blocks * (crate::BLOCK / crate::SECTOR);
        put16(&mut inode, 0x00, self.mode);
        put16(&mut inode, 0x02, self.uid as u16);
        put_halves(&mut inode, 0x04, 0x6c, content.size);
        for at in [0x08, 0x0c, 0x10, 0x90] {
            put32(&mut inode, at, time);
        }
        put16(&mut inode, 0x18, self.gid as u16);
        put16(&mut inode, 0x1a, self.nlink);
        put32(&mut inode, 0x1c, sectors as u32);
        put32(&mut inode, 0x20, self.flags);
        put(&mut inode, 0x28, &content.i_block);
        put32(&mut inode, 0x68, content.attribute_block as u32);
        put16(&mut inode, 0x74, (sectors >> 32) as u16);
        put16(&mut inode, 0x76, (content.attribute_block >> 32) as u16);
        put16(&mut inode, 0x78, (self.uid >> 16) as u16);
        put16(&mut inode, 0x7a, (self.gid >> 16) as u16);
        put16(&mut inode, 0x80, EXTRA as u16);
        for at in [0x84, 0x88, 0x8c, 0x94] {
            put32(&mut inode, at, extra);
        }
        put(&mut inode, INODE - ATTRIBUTES, content.attributes);
        if let Some(checksum) = checksum {
            let sum = checksum.of_inode(self.number).then(&inode);
            put16(&mut inode, 0x7c, sum.low());
            put16(&mut inode, 0x82, sum.high());
        }
        inode
    }
}

/// Maximum number of seconds: 34 bits, of which half of the lower 32 count as negative (ext4, Inode
/// Timestamps). The years from 2310 on, with both upper bits set, are left out: e2fsck takes them
/// for years before 1970, as old kernels wrote those.
const LAST_SECOND: i64 = (3 << 32) - (1 << 31) - 1;

/// Encodes a time as the lower 32 bits of its seconds, and nanoseconds with two more bits.
fn time(time: Time) -> (u32, u32) {
    let seconds = time.seconds.clamp(i32::MIN.into(), LAST_SECOND);
    let low = seconds as i32;
    let epoch = ((seconds - i64::from(low)) >> 32) as u32 & 3;
    let nanoseconds = if seconds == time.seconds {
        time.nanoseconds.min(999_999_999)
    } else {
        0
    };
    (low as u32, nanoseconds << 2 | epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the table in the ext4 documentation, "Inode Timestamps".
    #[test]
    fn times() {
        for (seconds, low, extra) in [
            (-0x8000_0000, 0x8000_0000, 0),
            (-1, 0xffff_ffff, 0),
            (0x7fff_ffff, 0x7fff_ffff, 0),
            (0x8000_0000, 0x8000_0000, 1),
            (0x1_7fff_ffff, 0x7fff_ffff, 1),
            (0x1_8000_0000, 0x8000_0000, 2),
            (0x2_7fff_ffff, 0x7fff_ffff, 2),
            (0x3_7fff_ffff, 0x7fff_ffff, 2),
            (i64::MAX, 0x7fff_ffff, 2),
            (i64::MIN, 0x8000_0000, 0),
        ] {
            assert_eq!(time(Time::from_seconds(seconds)), (low, extra), "{seconds:#x}");
        }
        let fine = Time {
            seconds: 1,
            nanoseconds: 999_999_999,
        };
        assert_eq!(time(fine), (1, 999_999_999 << 2));
    }
}
