//! What the caller decides.

use extents::Extents;
use tree::Time;

/// What an image is to have besides the files.
#[derive(Clone, Debug)]
pub struct Options {
    /// The volume's name, by which it is found: at most 32 characters. Readers that are strict
    /// expect `A-Z`, `0-9` and `_`.
    pub volume_id: String,
    /// The system that uses the system area: at most 32 characters.
    pub system_id: String,
    /// The name of the set that the volume belongs to: at most 128 characters.
    pub volume_set_id: String,
    /// Who publishes it: at most 128 characters.
    pub publisher_id: String,
    /// Who prepared the data: at most 128 characters.
    pub preparer_id: String,
    /// The program that made it: at most 128 characters.
    pub application_id: String,
    /// When the volume was made.
    pub time: Time,
    /// Whether there are folders for Windows too, with names of up to 64 characters.
    pub joliet: bool,
    /// What computers may be started with; the first is the default of the catalogue.
    pub boot: Vec<BootEntry>,
    /// Whether the image is a disk as well.
    pub hybrid: Option<Hybrid>,
}

/// A boot image in the catalogue, without emulation of a disk.
#[derive(Clone, Debug)]
pub struct BootEntry {
    /// Who starts it.
    pub platform: Platform,
    /// What is started.
    pub image: BootImage,
    /// How much is loaded, in sectors of 512 bytes: otherwise 4 for BIOS, and the whole image for EFI.
    pub load_sectors: Option<u16>,
    /// Whether isolinux (or what is made like it) finds itself by a table at its bytes 8 to
    /// 63. The image in the volume is changed there; this is the only case in which a content is read.
    pub info_table: bool,
}

impl BootEntry {
    /// A BIOS image that is isolinux: four sectors are loaded, and it has its table.
    pub fn isolinux(image: BootImage) -> Self {
        BootEntry {
            platform: Platform::Bios,
            image,
            load_sectors: None,
            info_table: true,
        }
    }

    /// A FAT image from which EFI starts `/EFI/BOOT/BOOT*.EFI`.
    pub fn efi(image: BootImage) -> Self {
        BootEntry {
            platform: Platform::Efi,
            image,
            load_sectors: None,
            info_table: false,
        }
    }
}

/// Who starts a boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// A BIOS on x86.
    Bios,
    /// UEFI on any architecture.
    Efi,
}

/// Where a boot image comes from.
#[derive(Clone, Debug)]
pub enum BootImage {
    /// A file of the tree.
    Path(Vec<u8>),
    /// Something that no name in the image leads to.
    Hidden(Extents),
}

/// What makes the image a disk, to be started from a USB stick.
#[derive(Clone, Debug, Default)]
pub struct Hybrid {
    /// How the disk is divided.
    pub table: Table,
    /// Code of syslinux that starts the first BIOS image from a disk (`isohdpfx.bin`, 432 bytes);
    /// empty when only EFI is to start from it.
    pub boot_code: Vec<u8>,
    /// What the disk is identified by; otherwise derived from what is in the image.
    pub id: Option<[u8; 16]>,
}

/// How a hybrid image is divided as a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// A GPT with one partition for the files, one for each EFI image, and a protective master
    /// boot record. Correct by the rules of UEFI.
    #[default]
    Gpt,
    /// A master boot record with an active partition for the files, and one for each EFI image
    /// behind them: for a BIOS that wants an active partition.
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
