//! VHDX disk images, dynamic (Microsoft, [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format").
//! Numbers are little-endian; everything but the headers begins at whole MiB.
//!
//! ```text
//! 0        file type identifier
//! 64 KiB   header │ 128 KiB  the same with a later number
//! 192 KiB  region table │ 256 KiB  the same
//! 1 MiB    log, empty
//! 2 MiB    metadata: table, then items from 64 KiB on
//! 3 MiB    block allocation table, BAT
//!          blocks of 1 MiB      those that are not all zeros
//! ```
//!
//! In the BAT there is, after the entries of each 4 GiB, one for a bitmap that only images with
//! parents have.

use extents::Extents;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// The length of a block in bytes: the least there can be, which suits Linux's filesystems best.
const BLOCK: u64 = MIB;
/// The length of a sector, as programs see it and as the medium has it, in bytes.
const SECTOR: u32 = 512;
const PHYSICAL_SECTOR: u32 = 4096;
/// How many blocks have a bitmap together ("2.5.1 BAT Entry": the chunk ratio).
const CHUNK: u64 = (1 << 23) * SECTOR as u64 / BLOCK;
/// The most bytes of a disk ("2.6.2.2 Virtual Disk Size").
const LARGEST: u64 = 64 << 40;

const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const REGION_TABLE_LEN: usize = 64 << 10;
const HEADER_LEN: usize = 4096;
const LOG: u64 = MIB;
const METADATA: u64 = 2 * MIB;
const METADATA_TABLE_LEN: usize = 64 << 10;
const BAT: u64 = 3 * MIB;
/// The state of a block that is there ("2.5.1.1", `PAYLOAD_BLOCK_FULLY_PRESENT`). That of the others
/// is 0, and in an image without a parent they are zeros.
const PRESENT: u64 = 6;

/// Regions ("2.2.3.2 Region Table Entry").
const BAT_REGION: u128 = 0x2dc2_7766_f623_4200_9d64_115e_9bfd_4a08;
const METADATA_REGION: u128 = 0x8b7c_a206_4790_4b9a_b8fe_575f_050f_886e;
/// Items of the metadata ("2.6.2").
const FILE_PARAMETERS: u128 = 0xcaa1_6737_fa36_4d43_b3b6_33f0_aa44_e76b;
const DISK_SIZE: u128 = 0x2fa5_4224_cd1b_4876_b211_5dbe_d83b_f4b8;
const DISK_ID: u128 = 0xbeca_12ab_b2e6_4523_93ef_c309_e000_c746;
const LOGICAL_SECTOR_SIZE: u128 = 0x8141_bf1d_a96f_4709_ba47_f233_a8fa_ab5f;
const PHYSICAL_SECTOR_SIZE: u128 = 0xcda3_48c7_445d_4471_9cc9_e988_5251_c556;
/// What an item is: about the disk, and one that readers must know.
const VIRTUAL_DISK: u32 = 2;
const REQUIRED: u32 = 4;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk has more bytes than the format can hold.
    #[error("a disk of {size} bytes is too large for VHDX: {LARGEST} at most\nhelp: use another format")]
    TooLarge {
        /// Its length in bytes.
        size: u64,
    },
}

/// Plans an image of a disk that is known by `uuid`, its text form read as one number. Blocks in
/// which nothing stands take no room.
///
/// # Errors
/// A disk that is too large.
pub fn plan(disk: &Extents, uuid: u128) -> Result<Extents, Error> {
    let size = disk.len().next_multiple_of(SECTOR.into());
    if size > LARGEST {
        return Err(Error::TooLarge { size });
    }
    let blocks = size.div_ceil(BLOCK);
    let entries = blocks + blocks.saturating_sub(1) / CHUNK;
    let bat_len = (entries * 8).next_multiple_of(MIB).max(MIB);

    let mut image = Extents::zeros(BAT + bat_len);
    image.put_bytes(0, identifier());
    for (at, number) in HEADERS.into_iter().zip(1..) {
        image.put_bytes(at, header(number, uuid));
    }
    let regions = region_table(bat_len);
    for at in REGION_TABLES {
        image.put_bytes(at, regions.clone());
    }
    image.put_bytes(METADATA, metadata(size, uuid));
    let mut bat = Extents::new();
    for range in disk.occupied(BLOCK) {
        let first = image.len();
        let len = (range.end - range.start) * BLOCK;
        let mut content = disk.part(range.start * BLOCK, len);
        content.set_len(len);
        image.push(&content);
        let mut entries = Vec::new();
        for block in range.clone() {
            // The entry of a bitmap is before the first block of the next chunk.
            if block % CHUNK == 0 && block > range.start {
                entries.extend_from_slice(&[0; 8]);
            }
            let entry = (first + (block - range.start) * BLOCK) | PRESENT;
            entries.extend_from_slice(&entry.to_le_bytes());
        }
        bat.put_bytes((range.start + range.start / CHUNK) * 8, entries);
    }
    image.put(BAT, &bat);
    Ok(image)
}

/// A GUID as it stands on disk: the first three of its five parts in little endian.
fn guid(number: u128) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = number.to_be_bytes();
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

/// Fills up a structure and puts the CRC-32C over all of it into its second field.
fn seal(mut bytes: Vec<u8>, len: usize) -> Vec<u8> {
    bytes.resize(len, 0);
    let sum = crc32c::crc32c(&bytes).to_le_bytes();
    bytes.splice(4..8, sum);
    bytes
}

/// "2.2.1 File Type Identifier".
fn identifier() -> Vec<u8> {
    let mut bytes = b"vhdxfile".to_vec();
    bytes.extend("moby".encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

/// "2.2.2 Headers". Of the two the one with the greater number counts.
fn header(number: u64, uuid: u128) -> Vec<u8> {
    let mut bytes = b"head\0\0\0\0".to_vec();
    bytes.extend_from_slice(&number.to_le_bytes());
    // What changes with each opening and each write; what the log is known by, which is empty.
    bytes.extend_from_slice(&guid(uuid));
    bytes.extend_from_slice(&guid(uuid));
    bytes.extend_from_slice(&guid(0));
    // Versions of the log and of the format.
    bytes.extend_from_slice(&0u16.to_le_bytes());
    bytes.extend_from_slice(&1u16.to_le_bytes());
    bytes.extend_from_slice(&(MIB as u32).to_le_bytes());
    bytes.extend_from_slice(&LOG.to_le_bytes());
    seal(bytes, HEADER_LEN)
}

/// "2.2.3 Region Table".
fn region_table(bat_len: u64) -> Vec<u8> {
    let mut bytes = b"regi\0\0\0\0".to_vec();
    bytes.extend_from_slice(&2u32.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (id, at, len) in [(BAT_REGION, BAT, bat_len), (METADATA_REGION, METADATA, MIB)] {
        bytes.extend_from_slice(&guid(id));
        bytes.extend_from_slice(&at.to_le_bytes());
        // LARGEST keeps it within 32 bits.
        bytes.extend_from_slice(&(len as u32).to_le_bytes());
        bytes.extend_from_slice(&1u32.to_le_bytes());
    }
    seal(bytes, REGION_TABLE_LEN)
}

/// "2.6 Metadata Region".
fn metadata(size: u64, uuid: u128) -> Vec<u8> {
    let mut parameters = (BLOCK as u32).to_le_bytes().to_vec();
    // Blocks may be absent, and there is no parent.
    parameters.extend_from_slice(&[0; 4]);
    let items = [
        (FILE_PARAMETERS, REQUIRED, parameters),
        (DISK_SIZE, VIRTUAL_DISK | REQUIRED, size.to_le_bytes().to_vec()),
        (DISK_ID, VIRTUAL_DISK | REQUIRED, guid(uuid).to_vec()),
        (
            LOGICAL_SECTOR_SIZE,
            VIRTUAL_DISK | REQUIRED,
            SECTOR.to_le_bytes().to_vec(),
        ),
        (
            PHYSICAL_SECTOR_SIZE,
            VIRTUAL_DISK | REQUIRED,
            PHYSICAL_SECTOR.to_le_bytes().to_vec(),
        ),
    ];
    let mut table = b"metadata\0\0".to_vec();
    table.extend_from_slice(&(items.len() as u16).to_le_bytes());
    table.extend_from_slice(&[0; 20]);
    let mut values = Vec::new();
    for (id, flags, value) in items {
        table.extend_from_slice(&guid(id));
        // Less than 64 KiB and a hundred bytes.
        table.extend_from_slice(&((METADATA_TABLE_LEN + values.len()) as u32).to_le_bytes());
        table.extend_from_slice(&(value.len() as u32).to_le_bytes());
        table.extend_from_slice(&flags.to_le_bytes());
        table.extend_from_slice(&[0; 4]);
        values.extend(value);
    }
    table.resize(METADATA_TABLE_LEN, 0);
    table.extend(values);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_of_mixed_endianness() {
        let bytes = guid(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let expected = [
            0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
        ];
        assert_eq!(bytes, expected);
    }
}
