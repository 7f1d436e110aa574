//! `streamOptimized` ("Stream-Optimized Compressed Sparse Extents").

use std::io;
use std::path::PathBuf;

use deflate::Deflate;
use extents::Extents;
use ordered::Spill;

use crate::{DESCRIPTOR, Error, GRAIN, Header, SECTOR, TABLE, TABLE_SECTORS, capacity, descriptor};

/// What VMware writes.
const VERSION: u32 = 3;
/// The header detects broken line ends; grains are compressed; there are markers.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
/// Deflate.
const COMPRESSION: u16 = 1;
/// Where the grain directory is: that says the header at the end (`GD_AT_END`).
const AT_END: u64 = u64::MAX;
/// Before what the grains begin.
const OVERHEAD: u64 = GRAIN;
/// The length of a grain in bytes.
const GRAIN_LEN: u64 = GRAIN * SECTOR;
/// How hard is tried to compress. zlib-rs below 9 looks for no match of three bytes, and ends 3 % above
/// what zlib makes by itself.
const LEVEL: u32 = 9;

/// Types of markers.
#[derive(Clone, Copy)]
enum Marker {
    End = 0,
    Table = 1,
    Directory = 2,
    Footer = 3,
}

impl Marker {
    /// A sector that says how many more follow.
    fn encode(self, sectors: u64) -> Vec<u8> {
        let mut marker = sectors.to_le_bytes().to_vec();
        // The length is for grains.
        marker.extend_from_slice(&[0; 4]);
        marker.extend_from_slice(&(self as u32).to_le_bytes());
        marker.resize(SECTOR as usize, 0);
        marker
    }
}

/// What the caller decides.
#[derive(Clone, Debug)]
pub struct Options {
    /// What tells one content from another (CID).
    pub id: u32,
    /// The name of the file, which stands in the descriptor.
    pub name: String,
    /// How many threads compress.
    pub jobs: usize,
    /// The folder for the file without a name in which compressed grains are kept.
    pub folder: PathBuf,
}

/// Makes a compressed image of a disk. The grains are compressed now, into a file that lives as long
/// as the image; those of zeros take no room. The number of threads changes nothing in it.
///
/// # Errors
/// A disk that is too large; what reading it or writing the compressed grains fails with.
pub fn stream_optimized(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let capacity = capacity(disk)?;
    let spill_error = |source: io::Error| Error::Spill {
        folder: options.folder.clone(),
        source,
    };
    let mut body = Body::new(capacity, &options.folder);
    ordered::map(
        disk.occupied(GRAIN_LEN).into_iter().flatten(),
        options.jobs,
        || (Deflate::zlib(LEVEL), vec![0; GRAIN_LEN as usize]),
        |(deflate, plain), number| Ok((number, compress(disk, number, deflate, plain)?)),
        |(number, grain): (u64, Option<Vec<u8>>)| match grain {
            Some(grain) => body.push(number, &grain).map_err(spill_error),
            None => Ok(()),
        },
    )?;
    let (body, directory) = body.finish().map_err(spill_error)?;

    let mut header = Header {
        version: VERSION,
        flags: FLAGS,
        capacity,
        second_directory: 0,
        directory: AT_END,
        overhead: OVERHEAD,
        compression: COMPRESSION,
    };
    let mut image = Extents::from_bytes(header.encode());
    let text = descriptor("streamOptimized", "RDONLY", capacity, options.id, &options.name);
    image.put_bytes(DESCRIPTOR * SECTOR, text);
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

/// A grain with its marker, made whole sectors; nothing when it has only zeros.
fn compress(disk: &Extents, number: u64, deflate: &mut Deflate, plain: &mut [u8]) -> Result<Option<Vec<u8>>, Error> {
    let offset = number * GRAIN_LEN;
    let read_error = |source| Error::Read { offset, source };
    let len = GRAIN_LEN.min(disk.len().saturating_sub(offset));
    let (content, rest) = plain.split_at_mut(len as usize);
    disk.read_exact_at(content, offset).map_err(read_error)?;
    rest.fill(0);
    if plain.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let mut grain = (number * GRAIN).to_le_bytes().to_vec();
    grain.extend_from_slice(&[0; 4]);
    let head = grain.len();
    // More than deflate can make of it.
    let room = plain.len() + plain.len() / 8 + 64;
    if !deflate.compress(plain, room, &mut grain) {
        return Err(read_error(io::Error::other("deflate made it too long")));
    }
    // Less than 128 KiB.
    let size = ((grain.len() - head) as u32).to_le_bytes();
    grain.splice(head - size.len()..head, size);
    grain.resize(grain.len().next_multiple_of(SECTOR as usize), 0);
    Ok(Some(grain))
}

/// Grains, each 512 of them with a table behind.
struct Body {
    spill: Spill,
    /// Where the tables are; 0 where there is none.
    directory: Vec<u32>,
    /// Which table is being filled, and what is in it.
    open: Option<u64>,
    table: Vec<u32>,
}

impl Body {
    fn new(capacity: u64, folder: &std::path::Path) -> Self {
        Body {
            spill: Spill::new(folder),
            directory: vec![0; capacity.div_ceil(GRAIN * TABLE) as usize],
            open: None,
            table: vec![0; TABLE as usize],
        }
    }

    /// The number of the next sector. The disk is no longer than can be counted, and deflate adds
    /// little to what it cannot make smaller.
    fn sector(&self) -> u32 {
        (OVERHEAD + self.spill.len() / SECTOR) as u32
    }

    fn push(&mut self, number: u64, grain: &[u8]) -> io::Result<()> {
        if self.open != Some(number / TABLE) {
            self.close()?;
            self.open = Some(number / TABLE);
        }
        let sector = self.sector();
        if let Some(entry) = self.table.get_mut((number % TABLE) as usize) {
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
