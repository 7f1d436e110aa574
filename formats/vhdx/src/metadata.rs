//! The metadata region ("2.6 Metadata Region").

use uuid::{Uuid, uuid};

use crate::{BLOCK, PHYSICAL_SECTOR, SECTOR};

/// Length of the table in bytes; items follow it.
const TABLE_LEN: usize = 64 << 10;
/// Identifiers of items ("2.6.2 Known Metadata Items").
const FILE_PARAMETERS: Uuid = uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
const DISK_SIZE: Uuid = uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
const DISK_ID: Uuid = uuid!("beca12ab-b2e6-4523-93ef-c309e000c746");
const LOGICAL_SECTOR_SIZE: Uuid = uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f");
const PHYSICAL_SECTOR_SIZE: Uuid = uuid!("cda348c7-445d-4471-9cc9-e9885251c556");
/// Flags of an item: it describes the disk; readers must know it.
const IS_VIRTUAL_DISK: u32 = 2;
const IS_REQUIRED: u32 = 4;

/// Encodes table and items of a disk of `size` bytes.
pub(crate) fn encode(size: u64, uuid: Uuid) -> Vec<u8> {
    let mut parameters = (BLOCK as u32).to_le_bytes().to_vec();
    // Blocks may be absent, and there is no parent.
    parameters.extend_from_slice(&[0; 4]);
    let disk = IS_VIRTUAL_DISK | IS_REQUIRED;
    let items = [
        (FILE_PARAMETERS, IS_REQUIRED, parameters),
        (DISK_SIZE, disk, size.to_le_bytes().to_vec()),
        (DISK_ID, disk, uuid.to_bytes_le().to_vec()),
        (LOGICAL_SECTOR_SIZE, disk, SECTOR.to_le_bytes().to_vec()),
        (PHYSICAL_SECTOR_SIZE, disk, PHYSICAL_SECTOR.to_le_bytes().to_vec()),
    ];
    let mut table = b"metadata\0\0".to_vec();
    table.extend_from_slice(&(items.len() as u16).to_le_bytes());
    table.extend_from_slice(&[0; 20]);
    let mut values = Vec::new();
    for (id, flags, value) in items {
        table.extend_from_slice(&id.to_bytes_le());
        // At most 64 KiB and a hundred bytes.
        table.extend_from_slice(&((TABLE_LEN + values.len()) as u32).to_le_bytes());
        table.extend_from_slice(&(value.len() as u32).to_le_bytes());
        table.extend_from_slice(&flags.to_le_bytes());
        table.extend_from_slice(&[0; 4]);
        values.extend(value);
    }
    table.resize(TABLE_LEN, 0);
    table.extend(values);
    table
}
