//! Identifiers derived from content, so that two builds of the same have the same.

use extents::{Data, Extents};
use sha2::{Digest, Sha256};

/// How much of the start and of the end of a slice is looked at, in bytes.
const LOOK: u64 = 4096;

/// What a content is known by: its layout, its bytes in memory, and the first and last bytes of
/// what is on disk. An initrd ends with the checksum of its compression, so that this differs
/// when the content does, and nothing large is read.
#[derive(Clone, Copy, Debug)]
pub struct Identity([u8; 32]);

impl Identity {
    /// Of a content.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn of(content: &Extents) -> std::io::Result<Identity> {
        let mut hash = Sha256::new();
        hash.update(content.len().to_le_bytes());
        for extent in content.extents() {
            hash.update(extent.offset().to_le_bytes());
            hash.update(extent.data().len().to_le_bytes());
            let look = match extent.data() {
                Data::Bytes { .. } => content.part(extent.offset(), extent.data().len()),
                Data::Slice(_) => {
                    let mut ends = content.part(extent.offset(), extent.data().len().min(LOOK));
                    let tail = extent.data().len().saturating_sub(LOOK).min(LOOK);
                    ends.push(&content.part(extent.end() - tail, tail));
                    ends
                }
            };
            hash.update(look.to_vec()?);
        }
        Ok(Identity(hash.finalize().into()))
    }

    /// A UUID for a use (RFC 9562, 5.8: version 8, made by other rules).
    pub fn uuid(&self, what: &str) -> u128 {
        let hash: [u8; 32] = Sha256::new().chain_update(self.0).chain_update(what).finalize().into();
        let value = hash
            .iter()
            .take(16)
            .fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        value & !(0xf << 76) & !(3 << 62) | 8 << 76 | 2 << 62
    }

    /// A number of 32 bits for a use, not 0.
    pub fn number(&self, what: &str) -> u32 {
        (self.uuid(what) as u32).max(1)
    }
}
