//! CRC-32C without the inversion at the end, so that one checksum is the seed of the next (ext4,
//! Checksums).

use uuid::Uuid;

/// Checksum over the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// Checksum over no bytes, the seed for the superblock.
    pub const START: Checksum = Checksum(!0);

    /// Computes the seed for all structures of a filesystem but the superblock: over its UUID.
    pub fn of_filesystem(uuid: Uuid) -> Self {
        Self::START.then(uuid.as_bytes())
    }

    /// Computes the seed for an inode and its blocks, whose generation is 0.
    pub fn of_inode(self, number: u32) -> Self {
        self.then(&number.to_le_bytes()).then(&[0; 4])
    }

    /// Continues the checksum over more bytes.
    pub fn then(self, bytes: &[u8]) -> Self {
        Checksum(!crc32c::crc32c_append(!self.0, bytes))
    }

    /// Returns the stored number.
    pub fn value(self) -> u32 {
        self.0
    }

    /// Returns the lower half.
    pub fn low(self) -> u16 {
        self.0 as u16
    }

    /// Returns the upper half.
    pub fn high(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_crc32c() {
        assert_eq!(!Checksum::START.then(b"123456789").value(), 0xe306_9283);
        assert_eq!(
            Checksum::START.then(b"1234").then(b"56789"),
            Checksum::START.then(b"123456789")
        );
    }
}
