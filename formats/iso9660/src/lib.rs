//! ISO 9660 images that boot from optical discs and, as hybrid images, from disks, planned from a
//! tree.
//!
//! Specifications: ECMA-119 (3rd edition; sections are cited as "ECMA-119 9.1"), SUSP and RRIP
//! 1.12 (Rock Ridge), the Joliet specification, and "El Torito" 1.0. Blocks have 2,048 bytes.
//!
//! ```text
//! block  0   system area: empty, or a master boot record and a GPT (hybrid)
//!       16   primary volume descriptor
//!       17   boot record → boot catalog           with boot images
//!            supplementary volume descriptor      with Joliet
//!            terminator
//!            path tables, little and big endian   also for Joliet
//!            directories: records | continuation area ...
//!            Joliet directories ...
//!            boot catalog
//!            contents of files, hidden boot images ...
//!            EFI boot images                      aligned to 1 MiB if hybrid
//!            backup of the GPT                    hybrid
//! ```
//!
//! The content of a file is contiguous and stored once, for any number of names; in a hybrid image
//! also if it is part of an EFI boot image, as a kernel may be. Directories below the eighth level
//! are relocated to a hidden directory and linked from their place. The format has no extended
//! attributes.
//!
#![doc = include_str!("../README.md")]

mod boot;
mod encode;
mod error;
mod hierarchy;
mod hybrid;
mod names;
mod number;
mod options;
mod plan;
mod susp;
mod volume;

pub use error::Error;
pub use extents::Extents;
pub use options::{BootEntry, BootImage, Hybrid, Options, Platform, Table};
pub use plan::plan;
pub use tree::{Device, Image, Kind, Meta, Time, Tree};

/// Length of a block in bytes.
pub const BLOCK: u64 = 2048;
/// Block of the primary volume descriptor, the first after the system area (ECMA-119 6.2.1).
pub const PRIMARY: u32 = 16;
/// Maximum length of a name in bytes: Linux truncates names of 254 and more (fs/isofs/rock.c).
pub const MAX_NAME_LEN: usize = 253;
/// Maximum length of a section of a file in bytes: the last full block below 4 GiB.
pub const SECTION: u64 = 0xffff_f800;
/// Maximum length of a file in bytes: Linux reads 100 sections (fs/isofs/inode.c).
pub const MAX_FILE_LEN: u64 = 100 * SECTION;
/// Maximum number of directories: the path table has 16 bits for their numbers (ECMA-119 9.4.4).
pub const MAX_DIRECTORIES: usize = 0xffff;
/// Maximum number of boot images: a catalog of one block, with a section for each image.
pub const MAX_BOOT_ENTRIES: usize = 32;
/// Minimum length of an image in blocks: libarchive accepts no image of less than 24.
const MIN_BLOCKS: u64 = 64;
