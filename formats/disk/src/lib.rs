//! Disks as data: a [`DiskLayout`] names a partition table and its partitions, and [`plan`] turns
//! it into a virtual file of extents. Nothing is copied, and no identifier is drawn at random.
//!
//! ```text
//! LBA     0                 1        2..33     reserved ..   2048                   end
//! MBR     boot code, table                                   partition 1, 2, 3, 4
//! GPT     protective MBR    header   entries                 partition 1 ... 128    entries, header
//! Hybrid  MBR, type 0xEE    header   entries                 partition 1 ... 128    entries, header
//!         and partitions 1 to 3
//! ```
//!
//! A sector has 512 bytes. Partitions begin at multiples of 1 MiB unless a start is given. The
//! tables are encoded by the crates `gpt` and `mbrman` (UEFI 2.10, chapter 5).

mod device;
mod error;
mod gpt;
mod layout;
mod mbr;
mod partition_type;
mod place;
mod plan;

pub use error::Error;
/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;
pub use layout::{DiskLayout, Geometry, Partition, Table, attribute};
pub use partition_type::{Architecture, ParseTypeError, PartitionType};
pub use place::Placement;
pub use plan::plan;
/// Identifiers of disks and partitions, re-exported from the crate `uuid`.
pub use uuid::Uuid;

/// Length of a sector, in bytes.
pub const SECTOR: u64 = 512;
/// Alignment of partitions without a given start, in bytes.
pub const ALIGNMENT: u64 = 1 << 20;
/// Maximum number of partitions in an MBR. Logical partitions are not written.
pub const MAX_MBR_PARTITIONS: usize = 4;
/// Maximum number of partitions in a GPT.
pub const MAX_GPT_PARTITIONS: usize = 128;
/// Maximum number of partitions that a hybrid MBR repeats; its first entry protects the GPT.
pub const MAX_HYBRID_PARTITIONS: usize = 3;
/// Maximum length of the boot code before the table of an MBR, in bytes.
pub const MAX_BOOT_CODE_LEN: usize = 440;
/// Maximum length of a partition's label in a GPT, in UTF-16 code units (UEFI 2.10, table 5.7).
pub const MAX_LABEL_LEN: usize = 36;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
