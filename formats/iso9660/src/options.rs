//! Options of the image.

use extents::Extents;
use tree::Time;

/// Options of [`plan`](crate::plan). Start with the default and assign fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Label of the volume: at most 32 characters. Strict readers expect `A-Z`, `0-9` and `_`.
    pub volume_id: String,
    /// System that uses the system area: at most 32 characters.
    pub system_id: String,
    /// Name of the set that the volume belongs to: at most 128 characters.
    pub volume_set_id: String,
    /// Publisher of the data: at most 128 characters.
    pub publisher_id: String,
    /// Preparer of the data: at most 128 characters.
    pub preparer_id: String,
    /// Program that created the image: at most 128 characters.
    pub application_id: String,
    /// Time of creation.
    pub time: Time,
    /// Adds Joliet directories, for Windows, with names of up to 64 characters.
    pub joliet: bool,
    /// Boot images; the first is the default entry of the catalog.
    pub boot: Vec<BootEntry>,
    /// Partition table, for an image that is a disk as well.
    pub hybrid: Option<Hybrid>,
}

/// Boot image in the catalog, without emulation of a disk.
#[derive(Clone, Debug)]
pub struct BootEntry {
    /// Firmware that starts the image.
    pub platform: Platform,
    /// Content of the image.
    pub image: BootImage,
    /// Number of sectors of 512 bytes to load; by default 4 for BIOS, and the entire image for EFI.
    pub load_sectors: Option<u16>,
    /// Writes a boot information table over bytes 8 to 63 of the image, by which isolinux and similar
    /// loaders find themselves. Its checksum requires reading the image.
    pub info_table: bool,
}

impl BootEntry {
    /// Creates an entry for isolinux: a BIOS image with a boot information table.
    pub fn isolinux(image: BootImage) -> Self {
        BootEntry {
            platform: Platform::Bios,
            image,
            load_sectors: None,
            info_table: true,
        }
    }

    /// Creates an entry for a FAT image from which EFI starts `/EFI/BOOT/BOOT*.EFI`.
    pub fn efi(image: BootImage) -> Self {
        BootEntry {
            platform: Platform::Efi,
            image,
            load_sectors: None,
            info_table: false,
        }
    }
}

/// Firmware that starts a boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// BIOS on x86.
    Bios,
    /// UEFI on any architecture.
    Efi,
}

/// Source of a boot image.
#[derive(Clone, Debug)]
pub enum BootImage {
    /// Path of a file in the tree.
    Path(Vec<u8>),
    /// Content without a name in the image.
    Hidden(Extents),
}

/// Partition table of an image that can be written to a USB drive.
#[derive(Clone, Debug, Default)]
pub struct Hybrid {
    /// Type of the partition table.
    pub table: Table,
    /// Boot code of syslinux that starts the first BIOS image from a disk (`isohdpfx.bin`, 432 bytes);
    /// empty for EFI only.
    pub boot_code: Vec<u8>,
    /// Identifier of the disk; by default derived from everything but file contents.
    pub id: Option<[u8; 16]>,
}

/// Type of a partition table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// GPT with one partition for the files, one for each EFI image, and a protective master
    /// boot record, as UEFI defines it.
    #[default]
    Gpt,
    /// Master boot record with an active partition for the files, which some BIOSes require, and
    /// one for each EFI image after it.
    Mbr,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            volume_id: "ISOIMAGE".into(),
            system_id: "LINUX".into(),
            volume_set_id: String::new(),
            publisher_id: String::new(),
            preparer_id: String::new(),
            application_id: String::new(),
            time: Time::default(),
            joliet: false,
            boot: Vec::new(),
            hybrid: None,
        }
    }
}
