//! Reasons why a layout cannot become a disk.

use crate::{MAX_BOOT_CODE_LEN, MAX_LABEL_LEN};

/// A layout that cannot become a disk. Partitions are numbered from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table has fewer entries than there are partitions.
    #[error("the disk has {count} partitions, but its partition table has at most {max}")]
    TooManyPartitions {
        /// Number of partitions.
        count: usize,
        /// Number of entries in the table.
        max: usize,
    },
    /// The partitions do not fit the size of the disk.
    #[error(
        "the partitions need {needed} bytes, but the disk has {len}: {} bytes are missing",
        needed.saturating_sub(*len)
    )]
    TooSmall {
        /// Minimum length of the disk in bytes.
        needed: u64,
        /// Length of the disk in bytes.
        len: u64,
    },
    /// The table cannot address the whole disk.
    #[error("the disk has {len} bytes, but an MBR can address at most 2 TiB")]
    TooLarge {
        /// Length of the disk in bytes.
        len: u64,
    },
    /// Sizes that add up to more than 64 bits.
    #[error("the partitions need more than 2^64 bytes")]
    Overflow,
    /// The boot code reaches into the table.
    #[error("the boot code has {len} bytes, but an MBR has {MAX_BOOT_CODE_LEN} for it")]
    BootCode {
        /// Length of the code in bytes.
        len: usize,
    },
    /// A partition without content and minimum size.
    #[error("partition {partition} is empty")]
    EmptyPartition {
        /// Number of the partition.
        partition: usize,
    },
    /// The label does not fit the entry of a GPT.
    #[error("the label of partition {partition} has {len} UTF-16 code units, but a GPT stores at most {MAX_LABEL_LEN}")]
    Label {
        /// Number of the partition.
        partition: usize,
        /// Length of the label in UTF-16 code units.
        len: usize,
    },
    /// The table has no code for the type of a partition.
    #[error("partition {partition} has type {kind}, which a {table} cannot store")]
    Type {
        /// Number of the partition.
        partition: usize,
        /// The type.
        kind: crate::PartitionType,
        /// Name of the table.
        table: &'static str,
    },
    /// The given start is not the first byte of a sector, or lies in the table or the partition
    /// before.
    #[error("partition {partition} cannot start at byte {start}: {reason}")]
    Start {
        /// Number of the partition.
        partition: usize,
        /// The given start in bytes.
        start: u64,
        /// Reason in a few words.
        reason: &'static str,
    },
    /// A partition that cannot take the rest of the disk.
    #[error("partition {partition} cannot grow: {reason}")]
    Grow {
        /// Number of the partition.
        partition: usize,
        /// Reason in a few words.
        reason: &'static str,
    },
    /// The crate that encodes the table refused it.
    #[error("cannot encode the {table}: {source}")]
    Encode {
        /// Name of the table.
        table: &'static str,
        /// Error of that crate.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
