//! FAT12, FAT16 and FAT32 filesystems with long names, planned from a tree.
//!
//! Specification: Microsoft, "FAT32 File System Specification" 1.03 of 2000 ("FAT 1.03"; its
//! sections have names and no numbers). Sectors have 512 bytes.
//!
//! ```text
//! sector 0   boot sector with the BIOS parameter block
//!        1   FSInfo                               FAT32
//!        6   backups of both                      FAT32
//!            file allocation table, twice
//!            root directory                       FAT12 and FAT16
//!            cluster 2, 3, ...                    directories, then files, each contiguous
//! ```
//!
//! FAT has no hard links, symbolic links, devices, owners and modes. Each name of a file gets its
//! own copy of the content, links and devices are refused, owners and modes are dropped.
//!
#![doc = include_str!("../README.md")]

mod boot_sector;
mod clusters;
mod directory;
mod error;
mod geometry;
mod names;
mod options;
mod plan;
mod time;

pub use error::Error;
pub use extents::Extents;
pub use options::{Options, Type};
pub use plan::plan;
pub use tree::{Device, Image, Kind, Meta, Time, Tree};

/// Length of a sector in bytes.
pub const SECTOR: u64 = 512;
/// Sector of the backup of the boot sector on FAT32 (FAT 1.03, BPB_BkBootSec).
pub const BACKUP_SECTOR: u64 = 6;
/// Maximum length of a file in bytes: its length has 32 bits.
pub const MAX_FILE_LEN: u64 = 0xffff_ffff;
/// Maximum number of entries of a directory, 2 MiB in all (FAT 1.03, "Other Notes Relating to FAT
/// Directories").
pub const MAX_ENTRIES: usize = 65_536;
