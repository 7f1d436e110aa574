//! VHD disk images, fixed and dynamic (Microsoft, "Virtual Hard Disk Image Format Specification",
//! 2006). Numbers are big-endian.
//!
//! ```text
//! fixed     disk | footer
//! dynamic   footer | header | block allocation table | blocks | footer
//!           block: 512 bytes of bitmap, then 2 MiB
//! ```

mod footer;

/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;
/// Identifiers of disks, re-exported from the crate `uuid`.
pub use uuid::Uuid;

use footer::{footer, put_checksum};

/// Length of a sector, of a footer and of a block's bitmap, in bytes.
const SECTOR: u64 = 512;
/// Length of a block in bytes.
pub const BLOCK: u64 = 2 << 20;
/// Length of the header of a dynamic image in bytes ("Dynamic Disk Header Format").
const HEADER_LEN: usize = 1024;
/// Offset of the checksum in that header.
const HEADER_CHECKSUM: usize = 36;
/// Version 1.0 of footer and header.
const VERSION: u32 = 0x0001_0000;
/// Maximum length of a disk in bytes: that of a dynamic image, 2040 GiB.
pub const MAX_DISK_LEN: u64 = 2040 << 30;

/// A disk that cannot become a VHD image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is longer than the format can hold.
    #[error("the disk has {len} bytes, but a VHD image holds at most {MAX_DISK_LEN}")]
    TooLarge {
        /// Length of the disk in bytes.
        len: u64,
    },
}

/// Kind of an image ("Disk Type").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The disk with a footer.
    Fixed,
    /// Blocks with content only.
    #[default]
    Dynamic,
}

/// Options of an image.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Kind of the image.
    pub kind: Kind,
    /// Identifier of the disk ("Unique Id").
    pub uuid: Uuid,
    /// Time of creation in seconds of the Unix epoch; the format counts from 2000 to 2136.
    pub time: i64,
}

/// Plans an image of `disk`, whose length is rounded up to whole sectors. Blocks without content
/// take no space in a dynamic image.
///
/// # Errors
/// A disk longer than [`MAX_DISK_LEN`].
pub fn plan(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let size = disk.len().checked_next_multiple_of(SECTOR).unwrap_or(u64::MAX);
    if size > MAX_DISK_LEN {
        return Err(Error::TooLarge { len: size });
    }
    let footer = footer(size, options);
    Ok(match options.kind {
        Kind::Fixed => fixed(disk, size, footer),
        Kind::Dynamic => dynamic(disk, size, footer),
    })
}

fn fixed(disk: &Extents, size: u64, footer: Vec<u8>) -> Extents {
    let mut image = disk.clone();
    image.set_len(size);
    image.push_bytes(footer);
    image
}

fn dynamic(disk: &Extents, size: u64, footer: Vec<u8>) -> Extents {
    // MAX_DISK_LEN keeps this, and all sector numbers, within 32 bits.
    let entries = size.div_ceil(BLOCK);
    let table_start = SECTOR + HEADER_LEN as u64;
    let mut table = vec![u32::MAX; entries as usize];
    let mut image = Extents::from_bytes(footer.clone());
    image.push_bytes(header(entries as u32, table_start));
    image.push_zeros((entries * 4).next_multiple_of(SECTOR));
    let table_len = image.len() - table_start;
    for range in disk.occupied(BLOCK) {
        for block in range {
            if let Some(entry) = table.get_mut(block as usize) {
                *entry = (image.len() / SECTOR) as u32;
            }
            // The bitmap: every sector of the block is in the image.
            image.push_bytes(vec![0xff; SECTOR as usize]);
            let mut content = disk.part(block * BLOCK, BLOCK);
            content.set_len(BLOCK);
            image.push(&content);
        }
    }
    let mut bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
    bytes.resize(table_len as usize, 0xff);
    image.put_bytes(table_start, bytes);
    image.push_bytes(footer);
    image
}

/// Encodes the dynamic disk header ("Dynamic Disk Header Format").
fn header(entries: u32, table_start: u64) -> Vec<u8> {
    let mut header = b"cxsparse".to_vec();
    // "Data Offset": unused.
    header.extend_from_slice(&u64::MAX.to_be_bytes());
    header.extend_from_slice(&table_start.to_be_bytes());
    header.extend_from_slice(&VERSION.to_be_bytes());
    header.extend_from_slice(&entries.to_be_bytes());
    header.extend_from_slice(&(BLOCK as u32).to_be_bytes());
    header.resize(HEADER_LEN, 0);
    put_checksum(&mut header, HEADER_CHECKSUM);
    header
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
