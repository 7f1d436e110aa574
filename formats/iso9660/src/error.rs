//! What an image cannot hold.

use std::io;

use tree::show;

use crate::{LARGEST_FILE, LONGEST_NAME, MAX_BOOT_ENTRIES, MAX_FOLDERS};

/// Why an image cannot be made of a tree and options.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Linux shows a shortened name when it is longer than this.
    #[error(
        "the name of {} has {len} bytes; on an ISO image Linux reads at most {LONGEST_NAME}: shorten it",
        show(path)
    )]
    LongName {
        /// Its path.
        path: Vec<u8>,
        /// The length of the last component in bytes.
        len: usize,
    },
    /// A file that needs more sections than Linux follows.
    #[error(
        "{} has {size} bytes; a file on an ISO image can have at most {LARGEST_FILE}: split it",
        show(path)
    )]
    LargeFile {
        /// Its path.
        path: Vec<u8>,
        /// Its size in bytes.
        size: u64,
    },
    /// A folder whose records need 4 GiB or more.
    #[error(
        "the folder {} has too many files: its records would need {size} bytes, at most 4294965248 can be written",
        show(path)
    )]
    LargeFolder {
        /// Its path.
        path: Vec<u8>,
        /// What its records need in bytes.
        size: u64,
    },
    /// The path table has 16 bits for the number of a folder.
    #[error("the tree has {count} folders; an ISO image can have at most {MAX_FOLDERS}: use squashfs inside of it")]
    ManyFolders {
        /// How many there are.
        count: usize,
    },
    /// A block number does not fit 32 bits.
    #[error("the image would have {size} bytes; an ISO image ends below 8 TiB")]
    LargeImage {
        /// What it needs in bytes.
        size: u64,
    },
    /// A text of the volume descriptor that does not fit.
    #[error("the {field} `{}` cannot be written: it may have at most {limit} printable ASCII characters", value.escape_debug())]
    Text {
        /// Which text.
        field: &'static str,
        /// What it was to be.
        value: String,
        /// How many characters there is room for.
        limit: usize,
    },
    /// A boot image that is no file of the tree.
    #[error("the boot image {} is no file of the tree", show(path))]
    NoBootImage {
        /// Its path.
        path: Vec<u8>,
    },
    /// A boot image that is too short for what is to be done with it.
    #[error("boot image {index} has {size} bytes; it needs at least {least}")]
    SmallBootImage {
        /// Which one, counted from 0.
        index: usize,
        /// Its size in bytes.
        size: u64,
        /// The least size in bytes.
        least: u64,
    },
    /// More boot images than the catalogue has room for.
    #[error("there are {count} boot images; the catalogue has room for {MAX_BOOT_ENTRIES}")]
    ManyBootImages {
        /// How many there are.
        count: usize,
    },
    /// A boot image that has to be looked into could not be read.
    #[error("reading boot image {index}: {source}")]
    ReadBootImage {
        /// Which one, counted from 0.
        index: usize,
        /// Why.
        source: io::Error,
    },
    /// A boot image that is to be loaded from a disk, but is not made for it.
    #[error(
        "boot image {index} is no isolinux.bin that boots from a disk: bytes 64 to 67 are not fb c0 78 70; use one of syslinux 4 or later, or no boot code"
    )]
    NotIsolinux {
        /// Which one, counted from 0.
        index: usize,
    },
    /// Boot code for the master boot record that does not fit.
    #[error("the boot code has {len} bytes; there is room for {limit} (isohdpfx.bin)")]
    BootCode {
        /// Its length in bytes.
        len: usize,
        /// How many there is room for.
        limit: usize,
    },
    /// Boot code with nothing that it could start.
    #[error("there is boot code for disks, but no BIOS boot image that it could start: add one or leave the code out")]
    NothingToStart,
    /// A disk address that the master boot record cannot hold.
    #[error(
        "the image would have {size} bytes; as a disk with a master boot record it can have at most 2 TiB: use GPT"
    )]
    LargeDisk {
        /// What it needs in bytes.
        size: u64,
    },
    /// More EFI images than a master boot record has entries for.
    #[error("there are {count} EFI boot images; a master boot record has room for 3: use GPT")]
    ManyPartitions {
        /// How many there are.
        count: usize,
    },
    /// The partition table of a hybrid image cannot be written.
    #[error(transparent)]
    Disk(disk::Error),
}
