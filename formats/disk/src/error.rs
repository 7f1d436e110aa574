//! What a disk cannot hold.

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More partitions than the table has entries.
    #[error("a disk with this partition table has at most {most} partitions, and {count} are asked for")]
    Partitions {
        /// How many were asked for.
        count: usize,
        /// How many there can be.
        most: usize,
    },
    /// The size given is too small.
    #[error("the partitions need a disk of {needed} bytes, and it is to have {size}: {} bytes are missing\nhelp: give a larger --size, or put less on it", needed.saturating_sub(*size))]
    TooSmall {
        /// The least length in bytes.
        needed: u64,
        /// The length given, in bytes.
        size: u64,
    },
    /// More sectors than the table can number.
    #[error(
        "a disk of {size} bytes is larger than a master boot record can number (2 TiB)\nhelp: use a format with a GPT"
    )]
    TooLarge {
        /// The length in bytes.
        size: u64,
    },
    /// Boot code that does not fit before the table.
    #[error("the boot code has {len} bytes, and there is room for 440")]
    BootCode {
        /// Its length in bytes.
        len: usize,
    },
    /// What the crates that write tables say.
    #[error("the partition table cannot be written: {0}")]
    Table(String),
}
