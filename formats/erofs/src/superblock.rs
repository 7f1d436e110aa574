//! Superblock (`struct erofs_super_block`).

use tree::Time;
use uuid::Uuid;

use crate::BLOCK;
use crate::bytes::{put, put16, put32, put64};
use crate::compressor::Compressor;

/// Offset in bytes, which leaves space for a boot sector (`EROFS_SUPER_OFFSET`).
const OFFSET: usize = 1024;
/// Length in bytes.
const LEN: usize = 128;
/// `EROFS_SUPER_MAGIC_V1`.
const MAGIC: u32 = 0xe0f5_e1e2;

/// Features that a reader may ignore.
mod compatible {
    /// The superblock has a checksum.
    pub(super) const SB_CHKSUM: u32 = 1;
    /// Times are those of last modification.
    pub(super) const MTIME: u32 = 2;
}

/// Features that a reader must support.
mod incompatible {
    /// Compressed blocks are padded at the front, so that they can be decompressed in place.
    pub(super) const ZERO_PADDING: u32 = 1;
    /// Compressed pieces have several blocks, and a configuration follows the superblock.
    pub(super) const BIG_PCLUSTER: u32 = 2;
    /// Files have lists of chunks.
    pub(super) const CHUNKED_FILE: u32 = 4;
}

/// Fields of the superblock.
pub(crate) struct Superblock<'a> {
    pub(crate) root_nid: u16,
    pub(crate) inos: u64,
    pub(crate) build_time: Time,
    pub(crate) blocks: u32,
    /// First block of the shared attributes; 0 if there are none.
    pub(crate) xattr_blkaddr: u32,
    pub(crate) uuid: Uuid,
    pub(crate) label: &'a str,
    /// Set if a file has a list of chunks.
    pub(crate) chunks: bool,
    /// Compressor and limit of the blocks of a piece, if a file is compressed.
    pub(crate) compressed: Option<(Compressor, u16)>,
}

impl Superblock<'_> {
    /// Encodes the first block of the filesystem.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        let (_, superblock) = block.split_at_mut(OFFSET);
        put32(superblock, 0, MAGIC);
        put32(superblock, 8, compatible::SB_CHKSUM | compatible::MTIME);
        superblock[12] = BLOCK.trailing_zeros() as u8;
        put16(superblock, 14, self.root_nid);
        put64(superblock, 16, self.inos);
        put64(superblock, 24, self.build_time.seconds as u64);
        put32(superblock, 32, self.build_time.nanoseconds);
        put32(superblock, 36, self.blocks);
        // Inode numbers count from block 0, so that none is 0.
        put32(superblock, 40, 0);
        put32(superblock, 44, self.xattr_blkaddr);
        put(superblock, 48, self.uuid.as_bytes());
        put(superblock, 64, self.label.as_bytes());
        let mut features = if self.chunks { incompatible::CHUNKED_FILE } else { 0 };
        if let Some((compressor, max_blocks)) = self.compressed {
            features |= incompatible::ZERO_PADDING | incompatible::BIG_PCLUSTER;
            put16(superblock, 84, 1 << compressor.algorithm());
            let configuration = compressor.configuration(max_blocks);
            // Less than a hundred bytes.
            put16(superblock, LEN, configuration.len() as u16);
            put(superblock, LEN + 2, &configuration);
        }
        put32(superblock, 80, features);
        // The checksum covers the rest of the block, with its field 0 and no inversion at the end.
        let checksum = !crc32c::crc32c(superblock);
        put32(superblock, 4, checksum);
        block
    }
}
