//! VDI disk images, VirtualBox's own (version 1.1; VirtualBox, src/VBox/Storage/VDICore.h).
//! Numbers are little-endian.
//!
//! ```text
//! 0       pre-header with a text, header
//! 1 MiB   block map: where each block stands
//!         blocks of 1 MiB, those that are not all zeros
//! ```

use extents::Extents;

/// The length of a block in bytes, and where the map begins.
pub const BLOCK: u64 = 1 << 20;
const TEXT: &[u8] = b"<<< Oracle VM VirtualBox Disk Image >>>\n";
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// The length of the header behind the pre-header of 72 bytes.
const HEADER: u32 = 400;
/// An image that grows.
const NORMAL: u32 = 1;
/// A block that is not there.
const FREE: u32 = u32::MAX;
/// The data begin below 4 GiB, behind the header and the map with its 4 bytes a block. QEMU takes
/// little more (block/vdi.c, VDI_BLOCKS_IN_IMAGE_MAX).
const LARGEST: u64 = ((4094 << 20) / 4) * BLOCK;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk has more bytes than the format can hold.
    #[error("a disk of {size} bytes is too large for VDI: {LARGEST} at most\nhelp: use another format")]
    TooLarge {
        /// Its length in bytes.
        size: u64,
    },
}

/// Plans an image of a disk that is known by `uuid`. Blocks in which nothing stands take no room.
///
/// # Errors
/// A disk that is too large.
pub fn plan(disk: &Extents, uuid: u128) -> Result<Extents, Error> {
    let size = disk.len().next_multiple_of(512);
    if size > LARGEST {
        return Err(Error::TooLarge { size });
    }
    let blocks = size.div_ceil(BLOCK);
    let data_start = BLOCK + (blocks * 4).next_multiple_of(BLOCK);
    let mut image = Extents::zeros(data_start);
    let mut map = vec![FREE; blocks as usize];
    let mut allocated = 0u32;
    for range in disk.occupied(BLOCK) {
        for block in range {
            if let Some(entry) = map.get_mut(block as usize) {
                *entry = allocated;
            }
            allocated += 1;
            let mut content = disk.part(block * BLOCK, BLOCK);
            content.set_len(BLOCK);
            image.push(&content);
        }
    }
    let map: Vec<u8> = map.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    image.put_bytes(BLOCK, map);

    let mut header = TEXT.to_vec();
    header.resize(64, 0);
    let dwords = |header: &mut Vec<u8>, values: &[u32]| {
        values
            .iter()
            .for_each(|value| header.extend_from_slice(&value.to_le_bytes()))
    };
    dwords(&mut header, &[SIGNATURE, VERSION, HEADER, NORMAL, 0]);
    // No comment.
    header.resize(header.len() + 256, 0);
    // Offsets of map and data, no geometry, sectors of 512 bytes. LARGEST keeps these within 32 bits.
    dwords(&mut header, &[BLOCK as u32, data_start as u32, 0, 0, 0, 512, 0]);
    header.extend_from_slice(&size.to_le_bytes());
    dwords(&mut header, &[BLOCK as u32, 0, blocks as u32, allocated]);
    // The image's own UUIDs, and none of parents.
    header.extend_from_slice(&uuid.to_be_bytes());
    header.extend_from_slice(&(uuid ^ 1).to_be_bytes());
    image.put_bytes(0, header);
    Ok(image)
}
