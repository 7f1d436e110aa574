//! ISO 9660 images: CDs and DVDs that start computers, and that are disks too.
//!
//! Followed are ECMA-119 (3rd edition; sections are cited as "ECMA-119 9.1"), SUSP and RRIP
//! 1.12 (Rock Ridge), the Joliet specification, and "El Torito" 1.0. Blocks have 2,048 bytes.
//!
//! ```text
//! block  0   system area: nothing, or a master boot record and a GPT (hybrid)
//!       16   primary volume descriptor
//!       17   boot record → catalogue              when there are boot images
//!            supplementary volume descriptor      with Joliet
//!            terminator
//!            path tables, little and big endian   and again for Joliet
//!            folders: records | continuation area ...
//!            folders of Joliet ...
//!            boot catalogue
//!            contents of files, hidden boot images ...
//!            EFI boot images                      at 1 MiB each when hybrid
//!            backup of the GPT                    hybrid
//! ```
//!
//! The content of a file stands in one piece and is there once, whatever number of names it
//! has; in a hybrid image also when it is a part of an EFI boot image, as a kernel is. Folders below the eighth level are moved to a hidden folder and linked from where they
//! belong. Extended attributes have no place in the format.

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
pub use options::{BootEntry, BootImage, Hybrid, Options, Platform, Table};
pub use plan::{Image, plan};

/// The length of a block and of a sector in bytes.
pub const BLOCK: u64 = 2048;
/// The block of the primary volume descriptor (ECMA-119 6.2.1: behind the system area).
pub const PRIMARY: u32 = 16;
/// The longest name in bytes: Linux cuts those of 254 and more (fs/isofs/rock.c).
pub const LONGEST_NAME: usize = 253;
/// The largest section of a file in bytes: the last whole block below 4 GiB.
pub const SECTION: u64 = 0xffff_f800;
/// The largest file in bytes: Linux follows 100 sections (fs/isofs/inode.c).
pub const LARGEST_FILE: u64 = 100 * SECTION;
/// The most folders: the path table has 16 bits for their numbers (ECMA-119 9.4.4).
pub const MAX_FOLDERS: usize = 0xffff;
/// The most boot images: what a catalogue of one block holds when each has its own section.
pub const MAX_BOOT_ENTRIES: usize = 32;
/// The least length of an image in blocks: libarchive takes nothing shorter than 24 for one.
const LEAST: u64 = 64;
