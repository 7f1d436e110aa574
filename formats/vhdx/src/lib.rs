//! VHDX, Hyper-V's disk image format, with dynamic images (Microsoft, [MS-VHDX] "Virtual Hard Disk
//! v2 (VHDX) File Format"). Numbers are little-endian; everything but the headers begins at whole
//! MiB.
//!
//! ```text
//! 0        file type identifier
//! 64 KiB   header │ 128 KiB  header with a later sequence number
//! 192 KiB  region table │ 256 KiB  its copy
//! 1 MiB    log, empty
//! 2 MiB    metadata: table, then items from 64 KiB on
//! 3 MiB    block allocation table, BAT
//!          blocks of 1 MiB      those that are not all zeros
//! ```
//!
//! In the BAT the entries of each 4 GiB are followed by one for a bitmap, which only images with
//! a parent have.

mod metadata;
mod structures;

/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;
/// Identifiers of disks, re-exported from the crate `uuid`.
pub use uuid::Uuid;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Length of a block in bytes: the minimum, which suits Linux's filesystems best.
pub const BLOCK: u64 = MIB;
/// Length of a logical sector in bytes.
const SECTOR: u32 = 512;
/// Length of a physical sector in bytes.
const PHYSICAL_SECTOR: u32 = 4096;
/// Number of blocks that share a bitmap ("2.5.1 BAT Entry": the chunk ratio).
const CHUNK_RATIO: u64 = (1 << 23) * SECTOR as u64 / BLOCK;
/// Maximum length of a disk in bytes ("2.6.2.2 Virtual Disk Size").
pub const MAX_DISK_LEN: u64 = 64 << 40;
/// Maximum length of [`Options::creator`] in UTF-16 code units ("2.2.1 File Type Identifier").
pub const MAX_CREATOR_LEN: usize = 256;

const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const LOG: u64 = MIB;
const METADATA: u64 = 2 * MIB;
const BAT: u64 = 3 * MIB;
/// State of a block in the image ("2.5.1.1", `PAYLOAD_BLOCK_FULLY_PRESENT`). Other blocks have
/// state 0, and without a parent they read as zeros.
const FULLY_PRESENT: u64 = 6;

/// A disk that cannot become a VHDX image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is longer than the format can hold.
    #[error("the disk has {len} bytes, but a VHDX image holds at most {MAX_DISK_LEN}")]
    TooLarge {
        /// Length of the disk in bytes.
        len: u64,
    },
    /// The creator does not fit its field.
    #[error("the creator has {len} UTF-16 code units, but a VHDX image stores at most {MAX_CREATOR_LEN}")]
    Creator {
        /// Length of the creator in UTF-16 code units.
        len: usize,
    },
}

/// Options of an image.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Identifier of the disk, and of this state of the image.
    pub uuid: Uuid,
    /// Name of the program that creates the image, for people who diagnose it. May be empty.
    pub creator: String,
}

/// Plans an image of `disk`, whose length is rounded up to whole sectors. Blocks without content
/// take no space.
///
/// # Errors
/// A disk longer than [`MAX_DISK_LEN`], a creator longer than [`MAX_CREATOR_LEN`].
pub fn plan(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let size = disk.len().checked_next_multiple_of(SECTOR.into()).unwrap_or(u64::MAX);
    if size > MAX_DISK_LEN {
        return Err(Error::TooLarge { len: size });
    }
    let len = options.creator.encode_utf16().count();
    if len > MAX_CREATOR_LEN {
        return Err(Error::Creator { len });
    }
    let blocks = size.div_ceil(BLOCK);
    let entries = blocks + blocks.saturating_sub(1) / CHUNK_RATIO;
    let bat_len = (entries * 8).next_multiple_of(MIB).max(MIB);

    let mut image = Extents::zeros(BAT + bat_len);
    image.put_bytes(0, structures::identifier(&options.creator));
    for (at, number) in HEADERS.into_iter().zip(1..) {
        image.put_bytes(at, structures::header(number, options.uuid));
    }
    let regions = structures::region_table(bat_len);
    for at in REGION_TABLES {
        image.put_bytes(at, regions.clone());
    }
    image.put_bytes(METADATA, metadata::encode(size, options.uuid));
    let mut bat = Extents::new();
    for range in disk.occupied(BLOCK) {
        let first = image.len();
        let len = (range.end - range.start) * BLOCK;
        let mut content = disk.part(range.start * BLOCK, len);
        content.set_len(len);
        image.push(&content);
        let mut entries = Vec::new();
        for block in range.clone() {
            // The entry of a bitmap precedes the first block of the next chunk.
            if block % CHUNK_RATIO == 0 && block > range.start {
                entries.extend_from_slice(&[0; 8]);
            }
            let entry = (first + (block - range.start) * BLOCK) | FULLY_PRESENT;
            entries.extend_from_slice(&entry.to_le_bytes());
        }
        bat.put_bytes((range.start + range.start / CHUNK_RATIO) * 8, entries);
    }
    image.put(BAT, &bat);
    Ok(image)
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
