//! Reasons for which a tree has no ISO 9660 image.

use std::io;

use tree::show;

use crate::{MAX_BOOT_ENTRIES, MAX_DIRECTORIES, MAX_FILE_LEN, MAX_NAME_LEN};

/// Reason for which no image is planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that Linux would shorten.
    #[error(
        "the name of {} has {len} bytes, but on an ISO image Linux reads at most {MAX_NAME_LEN}",
        show(path)
    )]
    LongName {
        /// Path of the node.
        path: Vec<u8>,
        /// Length of the last component in bytes.
        len: usize,
    },
    /// A file that needs more sections than Linux reads.
    #[error(
        "{} has {len} bytes, but a file on an ISO image has at most {MAX_FILE_LEN}",
        show(path)
    )]
    LargeFile {
        /// Path of the file.
        path: Vec<u8>,
        /// Length of the file in bytes.
        len: u64,
    },
    /// A directory whose records need 4 GiB or more.
    #[error(
        "the records of the directory {} would have {len} bytes, but have at most 4294965248",
        show(path)
    )]
    LargeDirectory {
        /// Path of the directory.
        path: Vec<u8>,
        /// Length of the records in bytes.
        len: u64,
    },
    /// The directories exceed the 16-bit numbers of the path table.
    #[error("the tree has {count} directories, but an ISO image has at most {MAX_DIRECTORIES}")]
    ManyDirectories {
        /// Number of directories.
        count: usize,
    },
    /// A block number that does not fit 32 bits.
    #[error("the image would have {size} bytes, but an ISO image has less than 8 TiB")]
    LargeImage {
        /// Length that the image would have, in bytes.
        size: u64,
    },
    /// A text of the volume descriptor that is too long or not ASCII.
    #[error("the {field} `{}` is invalid: it has at most {limit} printable ASCII characters", value.escape_debug())]
    Text {
        /// Name of the field.
        field: &'static str,
        /// Text in the options.
        value: String,
        /// Maximum number of characters.
        limit: usize,
    },
    /// A boot image that is not a file of the tree.
    #[error("the boot image {} is not a file of the tree", show(path))]
    NoBootImage {
        /// Path in the options.
        path: Vec<u8>,
    },
    /// A boot image that is too short.
    #[error("boot image {index} has {len} bytes, but needs at least {min}")]
    SmallBootImage {
        /// Index in [`Options::boot`](crate::Options::boot).
        index: usize,
        /// Length of the image in bytes.
        len: u64,
        /// Minimum length in bytes.
        min: u64,
    },
    /// The boot images exceed the catalog.
    #[error("there are {count} boot images, but the boot catalog has at most {MAX_BOOT_ENTRIES}")]
    ManyBootImages {
        /// Number of boot images in the options.
        count: usize,
    },
    /// A boot image that could not be read.
    #[error("cannot read boot image {index}: {source}")]
    ReadBootImage {
        /// Index in [`Options::boot`](crate::Options::boot).
        index: usize,
        /// Error of the read.
        source: io::Error,
    },
    /// A BIOS boot image that cannot be started from a disk.
    #[error("boot image {index} is not an isolinux.bin that boots from a disk: bytes 64 to 67 are not fb c0 78 70")]
    NotIsolinux {
        /// Index in [`Options::boot`](crate::Options::boot).
        index: usize,
    },
    /// Boot code that does not fit the master boot record.
    #[error("the boot code has {len} bytes, but the master boot record has {limit} for it")]
    BootCode {
        /// Length of the boot code in bytes.
        len: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// Boot code without a BIOS boot image that it could start.
    #[error("there is boot code for disks, but no BIOS boot image that it could start")]
    NothingToStart,
    /// A sector number that does not fit the master boot record.
    #[error("the image would have {size} bytes, but a disk with a master boot record has at most 2 TiB")]
    LargeDisk {
        /// Length that the image would have, in bytes.
        size: u64,
    },
    /// The EFI images exceed the entries of the master boot record.
    #[error("there are {count} EFI boot images, but the master boot record has entries for only 3")]
    ManyPartitions {
        /// Number of EFI boot images in the options.
        count: usize,
    },
    /// A partition table that cannot be written.
    #[error(transparent)]
    Disk(disk::Error),
}

impl Error {
    /// Returns advice for the user, to be shown apart from the message.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Error::LongName { .. } => Some("shorten the name"),
            Error::LargeFile { .. } => Some("split the file, or put it on another filesystem"),
            Error::LargeDirectory { .. } => Some("divide the directory into several"),
            Error::ManyDirectories { .. } => Some("put the files into another filesystem inside of the image"),
            Error::NotIsolinux { .. } => Some("use isolinux of syslinux 4 or later, or no boot code"),
            Error::BootCode { .. } => Some("use isohdpfx.bin of syslinux"),
            Error::NothingToStart => Some("add a BIOS boot image, or leave out the boot code"),
            Error::LargeDisk { .. } | Error::ManyPartitions { .. } => Some("use a GPT"),
            _ => None,
        }
    }
}
