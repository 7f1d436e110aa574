//! `streamOptimized` ("Stream-Optimized Compressed Sparse Extents").

use std::io;
use std::path::Path;

use deflate::Deflate;
use extents::Extents;
use ordered::Spill;

use crate::header::{COMPRESSED_GRAINS, Header, MARKERS, VALID_NEWLINE_TEST};
use crate::{Error, GRAIN, GRAIN_SECTORS, Options, SECTOR, TABLE_ENTRIES, TABLE_SECTORS, descriptor};

/// Version of the header, as VMware writes it.
const VERSION: u32 = 3;
/// Compression algorithm of the header: deflate.
const DEFLATE: u16 = 1;
/// Offset of the grain directory in the first header: the header at the end has it (`GD_AT_END`).
const AT_END: u64 = u64::MAX;
/// Sectors before the first grain.
const OVERHEAD: u64 = GRAIN_SECTORS;
/// Compression level. zlib-rs finds no matches of three bytes below level 9, and stays 3 % above
/// zlib's size at its default level.
const LEVEL: u32 = 9;

/// Types of markers ("Markers").
#[derive(Clone, Copy)]
enum Marker {
    End = 0,
    Table = 1,
    Directory = 2,
    Footer = 3,
}

impl Marker {
    /// Encodes the marker as a sector. `sectors` is the number of those that follow.
    fn encode(self, sectors: u64) -> Vec<u8> {
        let mut marker = sectors.to_le_bytes().to_vec();
        // The length of a compressed grain; 0 marks metadata.
        marker.extend_from_slice(&[0; 4]);
        marker.extend_from_slice(&(self as u32).to_le_bytes());
        marker.resize(SECTOR as usize, 0);
        marker
    }
}

/// Compresses a disk of `capacity` sectors, and plans its image.
pub(crate) fn plan(disk: &Extents, capacity: u64, options: &Options) -> Result<Extents, Error> {
    let spill_error = |source: io::Error| Error::Spill {
        temp_dir: options.temp_dir.clone(),
        source,
    };
    let mut body = Body::new(capacity, &options.temp_dir);
    ordered::map(
        disk.occupied(GRAIN).into_iter().flatten(),
        options.jobs,
        || (Deflate::zlib(LEVEL), vec![0; GRAIN as usize]),
        |(deflate, plain), number| Ok((number, compress(disk, number, deflate, plain)?)),
        |(number, grain): (u64, Option<Vec<u8>>)| match grain {
            Some(grain) => body.push(number, &grain).map_err(spill_error),
            None => Ok(()),
        },
    )?;
    let (body, directory) = body.finish().map_err(spill_error)?;

    let mut header = Header {
        version: VERSION,
        flags: VALID_NEWLINE_TEST | COMPRESSED_GRAINS | MARKERS,
        capacity,
        redundant_directory: 0,
        directory: AT_END,
        overhead: OVERHEAD,
        compression: DEFLATE,
    };
    let mut image = Extents::from_bytes(header.encode());
    let text = descriptor::text("streamOptimized", "RDONLY", capacity, options);
    image.put_bytes(descriptor::START * SECTOR, text);
    image.set_len(OVERHEAD * SECTOR);
    image.push(&body);
    let directory: Vec<u8> = directory.into_iter().flat_map(u32::to_le_bytes).collect();
    image.push_bytes(Marker::Directory.encode((directory.len() as u64).div_ceil(SECTOR)));
    header.directory = image.len() / SECTOR;
    image.push_bytes(directory);
    image.align_to(SECTOR);
    image.push_bytes(Marker::Footer.encode(1));
    image.push_bytes(header.encode());
    image.push_bytes(Marker::End.encode(0));
    Ok(image)
}

/// Compresses a grain, with its marker, to whole sectors; `None` if it has only zeros.
fn compress(disk: &Extents, number: u64, deflate: &mut Deflate, plain: &mut [u8]) -> Result<Option<Vec<u8>>, Error> {
    let offset = number * GRAIN;
    let read_error = |source| Error::Read { offset, source };
    let len = GRAIN.min(disk.len().saturating_sub(offset));
    let (content, rest) = plain.split_at_mut(len as usize);
    disk.read_exact_at(content, offset).map_err(read_error)?;
    rest.fill(0);
    if plain.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let mut grain = (number * GRAIN_SECTORS).to_le_bytes().to_vec();
    grain.extend_from_slice(&[0; 4]);
    let start = grain.len();
    // Deflate never makes more of it.
    let max_len = plain.len() + plain.len() / 8 + 64;
    if !deflate.compress(plain, max_len, &mut grain) {
        return Err(read_error(io::Error::other("deflate exceeds its maximum length")));
    }
    // At most 128 KiB.
    let size = ((grain.len() - start) as u32).to_le_bytes();
    grain.splice(start - size.len()..start, size);
    grain.resize(grain.len().next_multiple_of(SECTOR as usize), 0);
    Ok(Some(grain))
}

/// Grains, with a table behind each 512 of them.
struct Body {
    spill: Spill,
    /// Sectors of the tables; 0 for none.
    directory: Vec<u32>,
    /// Number of the table that is being filled.
    open: Option<u64>,
    /// Entries of that table.
    table: Vec<u32>,
}

impl Body {
    fn new(capacity: u64, temp_dir: &Path) -> Self {
        Body {
            spill: Spill::new(temp_dir),
            directory: vec![0; capacity.div_ceil(GRAIN_SECTORS * TABLE_ENTRIES) as usize],
            open: None,
            table: vec![0; TABLE_ENTRIES as usize],
        }
    }

    /// Returns the number of the next sector. [`crate::MAX_DISK_LEN`] leaves enough for what deflate
    /// adds to incompressible grains.
    fn sector(&self) -> u32 {
        (OVERHEAD + self.spill.len() / SECTOR) as u32
    }

    fn push(&mut self, number: u64, grain: &[u8]) -> io::Result<()> {
        if self.open != Some(number / TABLE_ENTRIES) {
            self.close()?;
            self.open = Some(number / TABLE_ENTRIES);
        }
        let sector = self.sector();
        if let Some(entry) = self.table.get_mut((number % TABLE_ENTRIES) as usize) {
            *entry = sector;
        }
        self.spill.push(grain)
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(number) = self.open.take() else {
            return Ok(());
        };
        self.spill.push(&Marker::Table.encode(TABLE_SECTORS))?;
        let sector = self.sector();
        if let Some(entry) = self.directory.get_mut(number as usize) {
            *entry = sector;
        }
        let table: Vec<u8> = self.table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        self.table.fill(0);
        self.spill.push(&table)
    }

    fn finish(mut self) -> io::Result<(Extents, Vec<u32>)> {
        self.close()?;
        Ok((self.spill.finish()?, self.directory))
    }
}
