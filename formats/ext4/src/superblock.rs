//! The superblock (ext4, Super Block). Copies differ only in the number of their group.

use tree::Time;
use uuid::Uuid;

use crate::bytes::{put, put_halves, put16, put32};
use crate::checksum::Checksum;
use crate::geometry::{GROUP, Geometry, LOG_FLEX};
use crate::htree::HALF_MD4;
use crate::inode::{EXTRA, I_BLOCK, INODE, JOURNAL, LOST_FOUND};

/// Offset of the first superblock in bytes.
pub const OFFSET: u64 = 1024;
/// Length of a superblock in bytes.
const SIZE: usize = 1024;
const MAGIC: u16 = 0xef53;

/// Bits of `s_feature_compat`.
const HAS_JOURNAL: u32 = 0x4;
const EXT_ATTR: u32 = 0x8;
const RESIZE_INODE: u32 = 0x10;
const DIR_INDEX: u32 = 0x20;
/// Bits of `s_feature_incompat`.
const FILETYPE: u32 = 0x2;
const EXTENTS: u32 = 0x40;
const WIDE: u32 = 0x80;
const FLEX_BG: u32 = 0x200;
/// Bits of `s_feature_ro_compat`.
const SPARSE_SUPER: u32 = 0x1;
const LARGE_FILE: u32 = 0x2;
const HUGE_FILE: u32 = 0x8;
const DIR_NLINK: u32 = 0x20;
const EXTRA_ISIZE: u32 = 0x40;
const METADATA_CSUM: u32 = 0x400;
/// Bit of `s_flags`: names are hashed as signed bytes.
const SIGNED_HASH: u32 = 0x1;
/// Bits of `s_default_mount_opts`: extended attributes and access control lists, as in mke2fs.
const XATTR_USER_AND_ACL: u32 = 0x4 | 0x8;

/// Fields of a superblock.
#[derive(Clone, Debug)]
pub struct Superblock<'a> {
    pub geometry: &'a Geometry,
    pub label: &'a str,
    pub uuid: Uuid,
    pub hash_seed: [u32; 4],
    pub time: Time,
    pub free_blocks: u64,
    pub free_inodes: u64,
    /// `i_block` and length in bytes of the journal, if there is one.
    pub journal: Option<([u8; I_BLOCK], u64)>,
    /// Set for 64-bit block numbers and checksums.
    pub modern: bool,
}

impl Superblock<'_> {
    /// Encodes the superblock of a group.
    pub fn encode(&self, group: u64) -> Vec<u8> {
        let geometry = self.geometry;
        let mut block = vec![0; SIZE];
        put32(&mut block, 0x00, geometry.inodes() as u32);
        put_halves(&mut block, 0x04, 0x150, geometry.blocks);
        put_halves(&mut block, 0x0c, 0x158, self.free_blocks);
        put32(&mut block, 0x10, self.free_inodes as u32);
        // Blocks and clusters have 1024 << 2 bytes.
        put32(&mut block, 0x18, 2);
        put32(&mut block, 0x1c, 2);
        put32(&mut block, 0x20, GROUP as u32);
        put32(&mut block, 0x24, GROUP as u32);
        put32(&mut block, 0x28, geometry.inodes_per_group as u32);
        // Never checked for the number of mounts.
        put16(&mut block, 0x36, u16::MAX);
        put16(&mut block, 0x38, MAGIC);
        // Cleanly unmounted; continue after errors; revision 1.
        put16(&mut block, 0x3a, 1);
        put16(&mut block, 0x3c, 1);
        put32(&mut block, 0x4c, 1);
        put32(&mut block, 0x54, LOST_FOUND);
        put16(&mut block, 0x58, INODE as u16);
        put16(&mut block, 0x5a, group as u16);
        self.features(&mut block);
        put(&mut block, 0x68, self.uuid.as_bytes());
        put(&mut block, 0x78, self.label.as_bytes());
        put16(&mut block, 0xce, geometry.reserved as u16);
        for (at, word) in [0xec, 0xf0, 0xf4, 0xf8].into_iter().zip(self.hash_seed) {
            put32(&mut block, at, word);
        }
        put(&mut block, 0xfc, &[HALF_MD4]);
        put32(&mut block, 0x100, XATTR_USER_AND_ACL);
        if let Some((i_block, len)) = &self.journal {
            put32(&mut block, 0xe0, JOURNAL);
            // A copy of its inode: `i_block`, the upper half of the length, the lower half.
            put(&mut block, 0xfd, &[1]);
            put(&mut block, 0x10c, i_block);
            put_halves(&mut block, 0x10c + I_BLOCK + 4, 0x10c + I_BLOCK, *len);
        }
        // Time of last write, last check and creation: 40 bits without sign.
        let time = self.time.seconds.clamp(0, (1 << 40) - 1);
        for (low, high) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
            put32(&mut block, low, time as u32);
            put(&mut block, high, &[(time >> 32) as u8]);
        }
        // Length of the fields after the first 128 bytes of existing and of new inodes.
        put16(&mut block, 0x15c, EXTRA as u16);
        put16(&mut block, 0x15e, EXTRA as u16);
        put32(&mut block, 0x160, SIGNED_HASH);
        put(&mut block, 0x174, &[LOG_FLEX]);
        if self.modern {
            put16(&mut block, 0xfe, geometry.descriptor as u16);
            // CRC-32C.
            put(&mut block, 0x175, &[1]);
            let sum = Checksum::START.then(block.get(..0x3fc).unwrap_or_default());
            put32(&mut block, 0x3fc, sum.value());
        }
        block
    }

    fn features(&self, block: &mut [u8]) {
        let when = |condition: bool, feature: u32| if condition { feature } else { 0 };
        let compat = EXT_ATTR
            | DIR_INDEX
            | when(self.geometry.reserved > 0, RESIZE_INODE)
            | when(self.journal.is_some(), HAS_JOURNAL);
        let incompat = FILETYPE | EXTENTS | FLEX_BG | when(self.modern, WIDE);
        let ro_compat =
            SPARSE_SUPER | LARGE_FILE | HUGE_FILE | DIR_NLINK | EXTRA_ISIZE | when(self.modern, METADATA_CSUM);
        put32(block, 0x5c, compat);
        put32(block, 0x60, incompat);
        put32(block, 0x64, ro_compat);
    }
}
