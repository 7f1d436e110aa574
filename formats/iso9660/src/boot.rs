//! Boot images and their catalog ("El Torito" Bootable CD-ROM Format Specification 1.0).
//!
//! ```text
//! block 17: boot record ──▶ catalog  0 validation | 32 default entry | 64 header | 96 entry | ...
//!                                                      └──▶ boot image    └──▶ boot image
//! ```

use extents::Extents;
use tree::{Kind, NodeId, Tree};

use crate::encode::Place;
use crate::error::Error;
use crate::options::{BootEntry, BootImage, Options, Platform};
use crate::{BLOCK, MAX_BOOT_ENTRIES, PRIMARY, volume};

/// Length of an entry of the catalog in bytes.
const ENTRY: usize = 32;
/// Boot indicator and media type of an entry without emulation (El Torito, figures 3 and 5).
const BOOTABLE: [u8; 2] = [0x88, 0];
/// Part of isolinux that a BIOS loads, in sectors of 512 bytes.
const BIOS_SECTORS: u16 = 4;
/// Offsets of the boot information table and of the bytes that its checksum covers, in bytes.
const TABLE: u64 = 8;
const SUMMED: u64 = 64;

/// Boot image of an entry in the options.
pub(crate) struct Boot<'a> {
    /// Entry in the options.
    pub entry: &'a BootEntry,
    /// Content of the image.
    pub content: &'a Extents,
    /// File of the tree, unless the image is hidden.
    pub node: Option<NodeId>,
    /// Position in the image.
    pub place: Place,
}

/// Finds the boot images of the options.
pub(crate) fn find<'a>(tree: &'a Tree, options: &'a Options) -> Result<Vec<Boot<'a>>, Error> {
    let count = options.boot.len();
    if count > MAX_BOOT_ENTRIES {
        return Err(Error::ManyBootImages { count });
    }
    let mut found = Vec::new();
    for (index, entry) in options.boot.iter().enumerate() {
        let (content, node) = match &entry.image {
            BootImage::Hidden(content) => (content, None),
            BootImage::Path(path) => {
                let id = tree.lookup_following(path);
                match id.map(|id| (&tree.node(id).kind, id)) {
                    Some((Kind::File(content), id)) => (content, Some(id)),
                    _ => return Err(Error::NoBootImage { path: path.clone() }),
                }
            }
        };
        let min = if entry.info_table { SUMMED } else { 1 };
        if content.len() < min {
            return Err(Error::SmallBootImage {
                index,
                len: content.len(),
                min,
            });
        }
        found.push(Boot {
            entry,
            content,
            node,
            place: Place::default(),
        });
    }
    Ok(found)
}

/// Encodes the boot record, the descriptor in block 17 that refers to the catalog (El Torito 2.0).
pub(crate) fn record(catalog: u32) -> Vec<u8> {
    let mut bytes = volume::header(0);
    bytes.extend(b"EL TORITO SPECIFICATION");
    bytes.resize(0x47, 0);
    bytes.extend(catalog.to_le_bytes());
    bytes.resize(BLOCK as usize, 0);
    bytes
}

impl Boot<'_> {
    fn platform(&self) -> u8 {
        match self.entry.platform {
            Platform::Bios => 0,
            Platform::Efi => 0xef,
        }
    }

    /// Returns the number of sectors of 512 bytes to load. It is 0 for an EFI image that needs more
    /// than 16 bits: UEFI 2.10, 13.3.2.1, takes 0 and 1 for everything up to the end of the image.
    fn sectors(&self) -> u16 {
        let all = u16::try_from(self.content.len().div_ceil(512)).unwrap_or(0);
        self.entry.load_sectors.unwrap_or(match self.entry.platform {
            Platform::Bios => BIOS_SECTORS,
            Platform::Efi => all,
        })
    }

    /// Encodes the default entry or that of a section.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = BOOTABLE.to_vec();
        bytes.extend([0; 4]); // load segment: the default; system type: none
        bytes.extend(self.sectors().to_le_bytes());
        bytes.extend(self.place.block.to_le_bytes());
        bytes.resize(ENTRY, 0);
        bytes
    }

    /// Encodes the boot information table, with its offset in the image: block of the volume
    /// descriptor, block, length and checksum of the image. Returns `None` for an image without it.
    pub(crate) fn info_table(&self, index: usize) -> Result<Option<(u64, Vec<u8>)>, Error> {
        if !self.entry.info_table {
            return Ok(None);
        }
        let sum = sum(self.content).map_err(|source| Error::ReadBootImage { index, source })?;
        // The field has 32 bits, which suffices for boot images.
        let len = u32::try_from(self.content.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::new();
        for number in [PRIMARY, self.place.block, len, sum] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize((SUMMED - TABLE) as usize, 0);
        Ok(Some((TABLE, bytes)))
    }
}

/// Sums the 32-bit words from byte 64 on, the last one padded with zeros.
fn sum(content: &Extents) -> std::io::Result<u32> {
    let mut sum = 0u32;
    let mut at = SUMMED;
    let mut buffer = vec![0; 1 << 16];
    while at < content.len() {
        let len = (content.len() - at).min(buffer.len() as u64);
        buffer.fill(0);
        if let Some(part) = buffer.get_mut(..len as usize) {
            content.read_exact_at(part, at)?;
        }
        for word in buffer.chunks_exact(4) {
            let word = word.try_into().map_or(0, u32::from_le_bytes);
            sum = sum.wrapping_add(word);
        }
        at += len;
    }
    Ok(sum)
}

/// Encodes the catalog, one block.
pub(crate) fn catalog(boots: &[Boot<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, boot) in boots.iter().enumerate() {
        if at == 0 {
            bytes.extend(validation(boot.platform()));
        } else {
            let more = if at + 1 < boots.len() { 0x90 } else { 0x91 };
            bytes.extend([more, boot.platform(), 1, 0]);
            bytes.resize(bytes.len() + ENTRY - 4, 0);
        }
        bytes.extend(boot.encode());
    }
    bytes.resize(BLOCK as usize, 0);
    bytes
}

/// Encodes the validation entry, whose 16-bit words add up to 0 (El Torito, figure 2).
fn validation(platform: u8) -> Vec<u8> {
    let sum = 0x0001u16.wrapping_add(u16::from(platform) << 8).wrapping_add(0xaa55);
    // Byte 0 is the header id, byte 1 the platform: as a word, 1 + platform * 256.
    let mut bytes = vec![1, platform];
    bytes.resize(28, 0);
    bytes.extend(sum.wrapping_neg().to_le_bytes());
    bytes.extend([0x55, 0xaa]);
    bytes
}
