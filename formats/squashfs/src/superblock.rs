//! Superblock, the first 96 bytes (rst 3, "struct squashfs_super_block").

/// Length in bytes.
pub(crate) const LEN: u64 = 96;
/// `SQUASHFS_MAGIC`: "hsqs".
const MAGIC: u32 = 0x7371_7368;
/// Position of a table that does not exist (`SQUASHFS_INVALID_BLK`).
pub(crate) const NO_TABLE: u64 = u64::MAX;

/// Bits of `flags`.
pub(crate) mod flags {
    /// No file has a tail in a fragment block.
    pub(crate) const NO_FRAGMENTS: u16 = 1 << 4;
    /// Tails of long files are in fragment blocks too.
    pub(crate) const ALWAYS_FRAGMENTS: u16 = 1 << 5;
    /// Equal files are stored once.
    pub(crate) const DUPLICATES: u16 = 1 << 6;
    /// The filesystem has an export table.
    pub(crate) const EXPORTABLE: u16 = 1 << 7;
    /// No file has extended attributes.
    pub(crate) const NO_XATTRS: u16 = 1 << 9;
    /// Options of the compressor follow the superblock.
    pub(crate) const COMPRESSOR_OPTIONS: u16 = 1 << 10;
}

/// Fields that are not constant; positions are offsets in the filesystem in bytes.
pub(crate) struct Superblock {
    pub(crate) inodes: u32,
    pub(crate) mkfs_time: u32,
    pub(crate) block_size: u32,
    pub(crate) fragments: u32,
    pub(crate) compression: u16,
    pub(crate) flags: u16,
    pub(crate) no_ids: u16,
    pub(crate) root_inode: u64,
    pub(crate) bytes_used: u64,
    pub(crate) id_table_start: u64,
    pub(crate) xattr_id_table_start: u64,
    pub(crate) inode_table_start: u64,
    pub(crate) directory_table_start: u64,
    pub(crate) fragment_table_start: u64,
    pub(crate) lookup_table_start: u64,
}

impl Superblock {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEN as usize);
        out.extend_from_slice(&MAGIC.to_le_bytes()); // 0x00
        out.extend_from_slice(&self.inodes.to_le_bytes()); // 0x04
        out.extend_from_slice(&self.mkfs_time.to_le_bytes()); // 0x08
        out.extend_from_slice(&self.block_size.to_le_bytes()); // 0x0c
        out.extend_from_slice(&self.fragments.to_le_bytes()); // 0x10
        out.extend_from_slice(&self.compression.to_le_bytes()); // 0x14
        out.extend_from_slice(&(self.block_size.trailing_zeros() as u16).to_le_bytes()); // 0x16 block_log
        out.extend_from_slice(&self.flags.to_le_bytes()); // 0x18
        out.extend_from_slice(&self.no_ids.to_le_bytes()); // 0x1a
        out.extend_from_slice(&4u16.to_le_bytes()); // 0x1c s_major
        out.extend_from_slice(&0u16.to_le_bytes()); // 0x1e s_minor
        for place in [
            self.root_inode,            // 0x20
            self.bytes_used,            // 0x28
            self.id_table_start,        // 0x30
            self.xattr_id_table_start,  // 0x38
            self.inode_table_start,     // 0x40
            self.directory_table_start, // 0x48
            self.fragment_table_start,  // 0x50
            self.lookup_table_start,    // 0x58
        ] {
            out.extend_from_slice(&place.to_le_bytes());
        }
        out
    }
}
