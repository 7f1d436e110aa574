//! Boot images and their catalogue ("El Torito" Bootable CD-ROM Format Specification 1.0).
//!
//! ```text
//! block 17: boot record ──▶ catalogue  0 validation | 32 default entry | 64 header | 96 entry | ...
//!                                                        └──▶ boot image    └──▶ boot image
//! ```

use extents::Extents;
use tree::{Kind, NodeId, Tree};

use crate::encode::Place;
use crate::{BLOCK, BootEntry, BootImage, Error, MAX_BOOT_ENTRIES, Options, PRIMARY, Platform, volume};

/// Length of what stands in a catalogue, in bytes.
const ENTRY: usize = 32;
/// Bootable, without emulation (El Torito, figures 3 and 5).
const BOOTABLE: [u8; 2] = [0x88, 0];
/// What a BIOS loads of isolinux, in sectors of 512 bytes.
const BIOS_SECTORS: u16 = 4;
/// Where a boot image has its table in bytes, and where the sum over the rest begins.
const TABLE: u64 = 8;
const SUMMED: u64 = 64;

/// A boot image that was found.
pub(crate) struct Boot<'a> {
    /// What the caller wants with it.
    pub entry: &'a BootEntry,
    /// Its bytes.
    pub content: &'a Extents,
    /// The file that it is.
    pub node: Option<NodeId>,
    /// Where it stands.
    pub place: Place,
}

/// Finds the boot images.
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
        let least = if entry.info_table { SUMMED } else { 1 };
        if content.len() < least {
            return Err(Error::SmallBootImage {
                index,
                size: content.len(),
                least,
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

/// The descriptor that leads to the catalogue; it has to stand in block 17 (El Torito 2.0).
pub(crate) fn record(catalogue: u32) -> Vec<u8> {
    let mut bytes = volume::head(0);
    bytes.extend(b"EL TORITO SPECIFICATION");
    bytes.resize(0x47, 0);
    bytes.extend(catalogue.to_le_bytes());
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

    /// How much is loaded in sectors of 512 bytes. 0 stands for an EFI image that needs more
    /// than 16 bits: UEFI 2.10, 13.3.2.1, takes 0 and 1 for all up to the end of the medium.
    fn sectors(&self) -> u16 {
        let whole = u16::try_from(self.content.len().div_ceil(512)).unwrap_or(0);
        self.entry.load_sectors.unwrap_or(match self.entry.platform {
            Platform::Bios => BIOS_SECTORS,
            Platform::Efi => whole,
        })
    }

    /// The default entry or one of a section.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = BOOTABLE.to_vec();
        bytes.extend([0; 4]); // load segment: the usual one; system type: none
        bytes.extend(self.sectors().to_le_bytes());
        bytes.extend(self.place.block.to_le_bytes());
        bytes.resize(ENTRY, 0);
        bytes
    }

    /// Where the table of the image has to be laid over it, in bytes from its start, and the
    /// table: block of the volume descriptor, block, length and sum of the image.
    pub(crate) fn info_table(&self, index: usize) -> Result<Option<(u64, Vec<u8>)>, Error> {
        if !self.entry.info_table {
            return Ok(None);
        }
        let sum = sum(self.content).map_err(|source| Error::ReadBootImage { index, source })?;
        // The field has 32 bits, and no boot image comes near.
        let len = u32::try_from(self.content.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::new();
        for number in [PRIMARY, self.place.block, len, sum] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize((SUMMED - TABLE) as usize, 0);
        Ok(Some((TABLE, bytes)))
    }
}

/// The sum of the words of 32 bits from byte 64 on, zeros behind the end.
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

/// The catalogue: one block.
pub(crate) fn catalogue(boots: &[Boot<'_>]) -> Vec<u8> {
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

/// The validation entry, whose words of 16 bits add up to 0 (El Torito, figure 2).
fn validation(platform: u8) -> Vec<u8> {
    let sum = 0x0001u16.wrapping_add(u16::from(platform) << 8).wrapping_add(0xaa55);
    // Byte 0 is the header id, byte 1 the platform: as a word, 1 + platform * 256.
    let mut bytes = vec![1, platform];
    bytes.resize(28, 0);
    bytes.extend(sum.wrapping_neg().to_le_bytes());
    bytes.extend([0x55, 0xaa]);
    bytes
}
