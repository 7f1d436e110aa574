//! VDI, VirtualBox's disk image format, version 1.1 (VirtualBox, src/VBox/Storage/VDICore.h).
//! Numbers are little-endian.
//!
//! ```text
//! 0       pre-header with a text, header
//! 1 MiB   block map: position of each block
//!         blocks of 1 MiB, those that are not all zeros
//! ```

mod map;

use std::sync::Arc;

/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;
use map::Map;
/// Identifiers of images, re-exported from the crate `uuid`.
pub use uuid::Uuid;

/// Length of a block in bytes, and offset of the block map.
pub const BLOCK: u64 = 1 << 20;
const TEXT: &[u8] = b"<<< Oracle VM VirtualBox Disk Image >>>\n";
/// Length of the field for [`TEXT`] in bytes.
const TEXT_LEN: usize = 64;
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// Length of the header behind the pre-header of 72 bytes, in bytes (`cbHeader`).
const HEADER_LEN: u32 = 400;
/// Length of the comment in bytes (`szComment`).
const COMMENT_LEN: usize = 256;
/// Image type of an image that grows (`VDI_IMAGE_TYPE_NORMAL`).
const NORMAL: u32 = 1;
/// Length of a sector in bytes.
const SECTOR: u32 = 512;
/// Maximum length of a disk in bytes. Blocks begin below 4 GiB, behind header and map with its 4
/// bytes per block; QEMU takes little more (block/vdi.c, `VDI_BLOCKS_IN_IMAGE_MAX`).
pub const MAX_DISK_LEN: u64 = ((4094 << 20) / 4) * BLOCK;

/// A disk that cannot become a VDI image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is longer than the format can hold.
    #[error("the disk has {len} bytes, but a VDI image holds at most {MAX_DISK_LEN}")]
    TooLarge {
        /// Length of the disk in bytes.
        len: u64,
    },
}

/// Options of an image.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Identifier of the image (`uuidCreate`). VirtualBox refuses a second image that has the
    /// identifier of one it knows.
    pub uuid: Uuid,
}

/// Plans an image of `disk`, whose length is rounded up to whole sectors. Blocks without content
/// take no space.
///
/// # Errors
/// A disk longer than [`MAX_DISK_LEN`].
pub fn plan(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let size = disk.len().checked_next_multiple_of(SECTOR.into()).unwrap_or(u64::MAX);
    if size > MAX_DISK_LEN {
        return Err(Error::TooLarge { len: size });
    }
    let blocks = size.div_ceil(BLOCK);
    let data_start = BLOCK + (blocks * 4).next_multiple_of(BLOCK);
    let mut image = Extents::zeros(data_start);
    let mut map = Map::new(blocks);
    for range in disk.occupied(BLOCK) {
        map.allocate(range.clone());
        for block in range {
            let mut content = disk.part(block * BLOCK, BLOCK);
            content.set_len(BLOCK);
            image.push(&content);
        }
    }
    image.put_bytes(0, header(size, data_start, blocks, map.allocated(), options.uuid));
    image.put(BLOCK, &Extents::from_blob(Arc::new(map)));
    Ok(image)
}

/// Encodes `VDIPREHEADER` and `VDIHEADER1PLUS`. [`MAX_DISK_LEN`] keeps all numbers within 32 bits.
fn header(size: u64, data_start: u64, blocks: u64, allocated: u32, uuid: Uuid) -> Vec<u8> {
    let mut header = TEXT.to_vec();
    header.resize(TEXT_LEN, 0);
    let dwords = |header: &mut Vec<u8>, values: &[u32]| {
        header.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    dwords(&mut header, &[SIGNATURE, VERSION, HEADER_LEN, NORMAL, 0]);
    header.resize(header.len() + COMMENT_LEN, 0);
    // Offsets of map and blocks; no geometry but the sector; unused.
    dwords(&mut header, &[BLOCK as u32, data_start as u32, 0, 0, 0, SECTOR, 0]);
    header.extend_from_slice(&size.to_le_bytes());
    dwords(&mut header, &[BLOCK as u32, 0, blocks as u32, allocated]);
    // The image's own identifiers (`uuidCreate`, `uuidModify`); those of parents stay zero.
    header.extend_from_slice(uuid.as_bytes());
    header.extend_from_slice(&(uuid.as_u128() ^ 1).to_be_bytes());
    header
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
