//! Identifier, headers and region tables ("2.2 Header Section").

use uuid::{Uuid, uuid};

use crate::{BAT, LOG, METADATA, MIB};

/// Length of a header in bytes.
const HEADER_LEN: usize = 4096;
/// Length of a region table in bytes.
const REGION_TABLE_LEN: usize = 64 << 10;
/// Version of the log, and of the format ("2.2.2 Headers").
const LOG_VERSION: u16 = 0;
const VERSION: u16 = 1;
/// Identifiers of regions ("2.2.3.2 Region Table Entry").
const BAT_REGION: Uuid = uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08");
const METADATA_REGION: Uuid = uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e");
/// Flag of a region without which an image cannot be read.
const REQUIRED: u32 = 1;

/// Encodes the file type identifier (2.2.1). `creator` fits its field.
pub(crate) fn identifier(creator: &str) -> Vec<u8> {
    let mut bytes = b"vhdxfile".to_vec();
    bytes.extend(creator.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

/// Encodes a header (2.2.2). The one with the greater sequence number counts.
pub(crate) fn header(sequence: u64, uuid: Uuid) -> Vec<u8> {
    let mut bytes = b"head\0\0\0\0".to_vec();
    bytes.extend_from_slice(&sequence.to_le_bytes());
    // "FileWriteGuid" and "DataWriteGuid" are random and change when the image is opened for
    // writing; a nil "LogGuid" says that the log is empty.
    bytes.extend_from_slice(&uuid.to_bytes_le());
    bytes.extend_from_slice(&uuid.to_bytes_le());
    bytes.extend_from_slice(&Uuid::nil().to_bytes_le());
    bytes.extend_from_slice(&LOG_VERSION.to_le_bytes());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(MIB as u32).to_le_bytes());
    bytes.extend_from_slice(&LOG.to_le_bytes());
    seal(bytes, HEADER_LEN)
}

/// Encodes the region table (2.2.3).
pub(crate) fn region_table(bat_len: u64) -> Vec<u8> {
    let mut bytes = b"regi\0\0\0\0".to_vec();
    bytes.extend_from_slice(&2u32.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (id, at, len) in [(BAT_REGION, BAT, bat_len), (METADATA_REGION, METADATA, MIB)] {
        bytes.extend_from_slice(&id.to_bytes_le());
        bytes.extend_from_slice(&at.to_le_bytes());
        // MAX_DISK_LEN keeps it within 32 bits.
        bytes.extend_from_slice(&(len as u32).to_le_bytes());
        bytes.extend_from_slice(&REQUIRED.to_le_bytes());
    }
    seal(bytes, REGION_TABLE_LEN)
}

/// Pads a structure to `len` bytes and puts the CRC-32C over all of it into its second field.
fn seal(mut bytes: Vec<u8>, len: usize) -> Vec<u8> {
    bytes.resize(len, 0);
    let sum = crc32c::crc32c(&bytes).to_le_bytes();
    bytes.splice(4..8, sum);
    bytes
}
