//! Disks with a master boot record or a GPT. Sectors have 512 bytes, partitions begin at
//! multiples of 1 MiB.
//!
//! ```text
//! MBR   0 boot code and table | 2048 partition 1 | ... partition 4
//! GPT   0 protective or hybrid MBR | 1 header | 2..34 entries | 2048 partition 1 | ... | entries | header
//! ```
//!
//! The tables are written by the crates `mbrman` and `gpt` (UEFI 2.10, section 5); identifiers
//! are the caller's, none is drawn.

mod device;
mod error;
mod plan;
mod types;

pub use error::Error;
pub use plan::{Disk, Partition, Scheme, plan};
pub use types::{EfiType, MbrType, Processor, Type};

/// The length of a sector in bytes.
pub const SECTOR: u64 = 512;
/// Where partitions begin: multiples of this many bytes.
pub const ALIGNMENT: u64 = 1 << 20;
