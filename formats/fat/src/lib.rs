//! FAT12, FAT16 and FAT32 filesystems with long names.
//!
//! Followed is Microsoft's "FAT32 File System Specification" 1.03 of 2000 ("FAT 1.03"; its
//! sections have names and no numbers). Sectors have 512 bytes.
//!
//! ```text
//! sector 0   boot sector with the BIOS parameter block
//!        1   FSInfo                               FAT32
//!        6   backups of both                      FAT32
//!            file allocation table, twice
//!            root folder                          FAT12 and FAT16
//!            cluster 2, 3, ...                    folders, then files; each in one piece
//! ```
//!
//! Nothing in the format is a hard link, a symbolic link, a device or an owner: each name of a
//! file has a content of its own, links and devices are refused, owners and modes are left out.

mod boot_sector;
mod error;
mod folder;
mod geometry;
mod names;
mod options;
mod plan;
mod time;

pub use error::Error;
pub use options::{Options, Type};
pub use plan::{Image, plan};

/// The length of a sector in bytes.
pub const SECTOR: u64 = 512;
/// Where the backup of the boot sector stands on FAT32, as a sector (FAT 1.03, BPB_BkBootSec).
pub const BACKUP_SECTOR: u64 = 6;
/// The largest file in bytes: its length has 32 bits.
pub const LARGEST_FILE: u64 = 0xffff_ffff;
/// The most entries of a folder: 2 MiB of them (FAT 1.03, "Other Notes Relating to FAT Directories").
pub const MOST_ENTRIES: usize = 65_536;
