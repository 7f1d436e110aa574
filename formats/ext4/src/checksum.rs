//! CRC-32C as ext4 uses it (ext4, Checksums): without the inversion at the end, so that one
//! checksum is the seed of the next.

/// A checksum over what has been seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// Over nothing: where the superblock's own begins.
    pub const START: Checksum = Checksum(!0);

    /// What all checksums of a filesystem but the superblock's begin with: over its UUID.
    pub fn of_filesystem(uuid: u128) -> Self {
        Self::START.then(&uuid.to_be_bytes())
    }

    /// What those of an inode and of its blocks begin with. Generations are 0 here.
    pub fn of_inode(self, number: u32) -> Self {
        self.then(&number.to_le_bytes()).then(&[0; 4])
    }

    /// With more bytes behind.
    pub fn then(self, bytes: &[u8]) -> Self {
        Checksum(!crc32c::crc32c_append(!self.0, bytes))
    }

    /// The number to store.
    pub fn value(self) -> u32 {
        self.0
    }

    /// Its lower half.
    pub fn low(self) -> u16 {
        self.0 as u16
    }

    /// Its upper half.
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
