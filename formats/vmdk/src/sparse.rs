//! `monolithicSparse` ("Hosted Sparse Extents").

use extents::Extents;

use crate::header::{Header, REDUNDANT_TABLE, VALID_NEWLINE_TEST};
use crate::{GRAIN, GRAIN_SECTORS, Options, SECTOR, TABLE_ENTRIES, TABLE_SECTORS, descriptor};

/// Version of the header.
const VERSION: u32 = 1;

/// Plans an image of a disk of `capacity` sectors.
pub(crate) fn plan(disk: &Extents, capacity: u64, options: &Options) -> Extents {
    let tables = capacity.div_ceil(GRAIN_SECTORS * TABLE_ENTRIES);
    let directory_sectors = (tables * 4).div_ceil(SECTOR);
    let first = descriptor::START + descriptor::SECTORS;
    let second = first + directory_sectors + tables * TABLE_SECTORS;
    let overhead = (second + directory_sectors + tables * TABLE_SECTORS).next_multiple_of(GRAIN_SECTORS);

    let mut image = Extents::zeros(overhead * SECTOR);
    let header = Header {
        version: VERSION,
        flags: VALID_NEWLINE_TEST | REDUNDANT_TABLE,
        capacity,
        redundant_directory: first,
        directory: second,
        overhead,
        compression: 0,
    };
    image.put_bytes(0, header.encode());
    let text = descriptor::text("monolithicSparse", "RW", capacity, options);
    image.put_bytes(descriptor::START * SECTOR, text);
    let mut grains = vec![0u32; (tables * TABLE_ENTRIES) as usize];
    for range in disk.occupied(GRAIN) {
        for grain in range {
            if let Some(entry) = grains.get_mut(grain as usize) {
                *entry = (image.len() / SECTOR) as u32;
            }
            let mut content = disk.part(grain * GRAIN, GRAIN);
            content.set_len(GRAIN);
            image.push(&content);
        }
    }
    let grains: Vec<u8> = grains.into_iter().flat_map(u32::to_le_bytes).collect();
    for start in [first, second] {
        let first_table = start + directory_sectors;
        let directory = (0..tables).map(|table| (first_table + table * TABLE_SECTORS) as u32);
        let directory: Vec<u8> = directory.flat_map(u32::to_le_bytes).collect();
        image.put_bytes(start * SECTOR, directory);
        image.put_bytes(first_table * SECTOR, grains.clone());
    }
    image
}
