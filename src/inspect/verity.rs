//! Hash areas of dm-verity behind filesystems.

use extents::Extents;

use super::Error;

/// Alignment of a hash area in bytes: that of the blocks of squashfs, EROFS and ext4 images.
const BLOCK: u64 = 4096;
/// Number of threads that hash.
const JOBS: usize = 1;

/// Filesystem with its hash area.
pub struct Verity {
    filesystem: Extents,
    area: Extents,
    root_hash: Vec<u8>,
}

impl Verity {
    /// Finds the hash area behind a filesystem; none if there is no superblock of dm-verity.
    pub fn find(head: &[u8], content: &Extents) -> Option<Verity> {
        let end = filesystem_len(head)?.checked_next_multiple_of(BLOCK)?;
        let (filesystem, area) = (content.part(0, end), content.part(end, u64::MAX));
        let root_hash = ::verity::root_hash(&filesystem, &area).ok()?;
        Some(Verity {
            filesystem,
            area,
            root_hash,
        })
    }

    /// Returns the root hash of the tree in hexadecimal digits.
    pub fn root_hash(&self) -> String {
        self.root_hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the number of bytes that verification hashes, apart from the tree.
    pub fn len(&self) -> u64 {
        self.filesystem.len()
    }

    /// Verifies the filesystem against its tree.
    ///
    /// # Errors
    /// A block that differs, or cannot be read; a tree that covers a part of the filesystem.
    pub fn verify(&self) -> Result<(), Error> {
        let corrupt = |found: String| Error::Corrupt {
            format: "filesystem with a hash tree",
            found,
        };
        let verified = ::verity::verify(&self.filesystem, &self.area, &self.root_hash, JOBS);
        let superblock = verified.map_err(|error| corrupt(error.to_string()))?;
        if superblock.data_len() != self.filesystem.len() {
            return Err(corrupt(format!("the tree covers {} bytes", superblock.data_len())));
        }
        Ok(())
    }
}

/// Returns the length of a filesystem in bytes, as its superblock has it.
fn filesystem_len(head: &[u8]) -> Option<u64> {
    if head.starts_with(b"hsqs") {
        return little(head, 40, 8);
    }
    if head.get(1024..1028) == Some(&0xe0f5_e1e2_u32.to_le_bytes()) {
        let block = 1u64.checked_shl(little(head, 1036, 1)?.try_into().ok()?)?;
        return little(head, 1060, 4)?.checked_mul(block);
    }
    if head.get(1080..1082) == Some(&[0x53, 0xef]) {
        let block = 1024u64.checked_shl(little(head, 1048, 4)?.try_into().ok()?)?;
        let blocks = little(head, 1028, 4)? | little(head, 1360, 4)? << 32;
        return blocks.checked_mul(block);
    }
    if head.get(32_768..32_774) == Some(b"\x01CD001") {
        return little(head, 32_848, 4)?.checked_mul(2048);
    }
    None
}

/// Reads a little-endian number of `len` bytes.
fn little(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
