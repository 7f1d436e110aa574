//! The first sector, and FSInfo (FAT 1.03, "Boot Sector and BPB", "FAT32 FSInfo Sector Structure
//! and Backup Boot Sector").

use extents::Extents;

use crate::geometry::Geometry;
use crate::options::{Options, Type};
use crate::{BACKUP_SECTOR, SECTOR};

/// Media descriptor of fixed disks (FAT 1.03, BPB_Media).
pub const MEDIA: u8 = 0xf8;
/// Sector of FSInfo on FAT32.
const FS_INFO: u64 = 1;
/// Geometry that a BIOS assumes for a disk of any size.
const SECTORS_PER_TRACK: u16 = 63;
const HEADS: u16 = 255;
/// Drive number of the first fixed disk, for INT 13h.
const DRIVE: u8 = 0x80;
/// Boot code: int 18h, by which a BIOS tries the next device, then an endless halt.
const CODE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];

/// Puts boot sector and FSInfo, with their backups, into an image.
pub fn put(
    image: &mut Extents,
    at: &Geometry,
    options: &Options,
    serial: u32,
    label: Option<[u8; 11]>,
    root: u32,
    used: u64,
) {
    let mut sector = [0u8; SECTOR as usize];
    let mut field = |offset: usize, bytes: &[u8]| {
        for (to, from) in sector.iter_mut().skip(offset).zip(bytes) {
            *to = *from;
        }
    };
    let fat32 = at.kind == Type::Fat32;
    // Both fit 32 bits; a 16-bit field is 0 if the number does not fit it.
    let (sectors, table) = (at.sectors as u32, at.table as u32);
    let short_sectors = u16::try_from(sectors).ok().filter(|_| !fat32).unwrap_or(0);
    let code = if fat32 { 90 } else { 62 };
    field(0, &[0xeb, code - 2, 0x90]);
    field(3, &options.oem_name);
    field(11, &(SECTOR as u16).to_le_bytes());
    field(13, &[at.per_cluster as u8]);
    field(14, &(at.reserved as u16).to_le_bytes());
    field(16, &[2]);
    field(17, &(at.root_entries as u16).to_le_bytes());
    field(19, &short_sectors.to_le_bytes());
    field(21, &[MEDIA]);
    field(22, &if fat32 { [0, 0] } else { (table as u16).to_le_bytes() });
    field(24, &SECTORS_PER_TRACK.to_le_bytes());
    field(26, &HEADS.to_le_bytes());
    field(28, &options.hidden_sectors.to_le_bytes());
    field(32, &if short_sectors == 0 { sectors } else { 0 }.to_le_bytes());
    let mut tail = 36;
    if fat32 {
        field(36, &table.to_le_bytes());
        field(44, &root.to_le_bytes());
        field(48, &(FS_INFO as u16).to_le_bytes());
        field(50, &(BACKUP_SECTOR as u16).to_le_bytes());
        tail = 64;
    }
    field(tail, &[DRIVE, 0, 0x29]);
    field(tail + 3, &serial.to_le_bytes());
    field(tail + 7, &label.unwrap_or(*b"NO NAME    "));
    field(tail + 18, format!("{:<8}", at.kind.to_string()).as_bytes());
    field(code.into(), &CODE);
    field(510, &[0x55, 0xaa]);
    image.put_bytes(0, sector);
    if !fat32 {
        return;
    }
    let mut info = [0u8; SECTOR as usize];
    let mut field = |offset: usize, value: u32| {
        for (to, from) in info.iter_mut().skip(offset).zip(value.to_le_bytes()) {
            *to = from;
        }
    };
    field(0, 0x4161_5252);
    field(484, 0x6141_7272);
    // Clusters have numbers of 28 bits.
    field(488, at.clusters.saturating_sub(used) as u32);
    field(492, if used < at.clusters { used as u32 + 2 } else { u32::MAX });
    field(508, 0xaa55_0000);
    image.put_bytes(FS_INFO * SECTOR, info);
    image.put_bytes(BACKUP_SECTOR * SECTOR, sector);
    image.put_bytes((BACKUP_SECTOR + FS_INFO) * SECTOR, info);
}
