//! VMDK disk images of one sparse file (VMware, "Virtual Disk Format 5.0"): `monolithicSparse`, and
//! `streamOptimized`, which is compressed. Numbers are little-endian and count sectors of 512 bytes.
//!
//! ```text
//! monolithicSparse                                    streamOptimized
//! 0    header                                         0    header
//! 1    descriptor, a text of 20 sectors               1    descriptor, a text of 20 sectors
//! 21   grain directory → grain tables, and again      128  marker, compressed grain; ...
//!      grains of 64 KiB that are not all zeros             marker, table of up to 512 grains; ...
//!                                                          marker, grain directory
//!                                                          marker, header again; marker of the end
//! ```

mod stream;

use std::io;
use std::path::PathBuf;

use extents::Extents;

pub use stream::{Options, stream_optimized};

const SECTOR: u64 = 512;
/// A grain in sectors.
const GRAIN: u64 = 128;
/// Entries of a grain table, and its sectors.
const TABLE: u64 = 512;
const TABLE_SECTORS: u64 = TABLE * 4 / SECTOR;
const DESCRIPTOR: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
/// The header detects broken line ends, and there are two grain directories.
const FLAGS: u32 = 3;
/// Sectors are counted with 32 bits.
const LARGEST: u64 = (u32::MAX as u64) * SECTOR / 2;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk has more bytes than the format can hold.
    #[error("a disk of {size} bytes is too large for a sparse VMDK: {LARGEST} at most\nhelp: use another format")]
    TooLarge {
        /// Its length in bytes.
        size: u64,
    },
    /// The disk could not be read.
    #[error("cannot read the disk at {offset}: {source}")]
    Read {
        /// Where, in bytes.
        offset: u64,
        /// What reading failed with.
        source: io::Error,
    },
    /// The file of compressed grains could not be made or written.
    #[error("cannot keep compressed grains in {}: {source}", folder.display())]
    Spill {
        /// The folder that it is in.
        folder: PathBuf,
        /// What writing failed with.
        source: io::Error,
    },
}

/// The length of a disk in sectors: whole grains.
fn capacity(disk: &Extents) -> Result<u64, Error> {
    let size = disk.len().next_multiple_of(GRAIN * SECTOR);
    match size <= LARGEST {
        true => Ok(size / SECTOR),
        false => Err(Error::TooLarge { size }),
    }
}

/// Plans an image of a disk. `id` is what tells one content from another (CID). Grains in which
/// nothing stands take no room.
///
/// # Errors
/// A disk that is too large.
pub fn plan(disk: &Extents, id: u32, name: &str) -> Result<Extents, Error> {
    let capacity = capacity(disk)?;
    let tables = capacity.div_ceil(GRAIN * TABLE);
    let directory_sectors = (tables * 4).div_ceil(SECTOR);
    let first = DESCRIPTOR + DESCRIPTOR_SECTORS;
    let second = first + directory_sectors + tables * TABLE_SECTORS;
    let overhead = (second + directory_sectors + tables * TABLE_SECTORS).next_multiple_of(GRAIN);

    let mut image = Extents::zeros(overhead * SECTOR);
    let header = Header {
        version: 1,
        flags: FLAGS,
        capacity,
        second_directory: first,
        directory: second,
        overhead,
        compression: 0,
    };
    image.put_bytes(0, header.encode());
    let descriptor = descriptor("monolithicSparse", "RW", capacity, id, name);
    image.put_bytes(DESCRIPTOR * SECTOR, descriptor);
    let mut grains = vec![0u32; (tables * TABLE) as usize];
    for range in disk.occupied(GRAIN * SECTOR) {
        for grain in range {
            if let Some(entry) = grains.get_mut(grain as usize) {
                *entry = (image.len() / SECTOR) as u32;
            }
            let mut content = disk.part(grain * GRAIN * SECTOR, GRAIN * SECTOR);
            content.set_len(GRAIN * SECTOR);
            image.push(&content);
        }
    }
    let bytes = |entries: &mut dyn Iterator<Item = u32>| entries.flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let grains = bytes(&mut grains.into_iter());
    for start in [first, second] {
        let first_table = start + directory_sectors;
        let mut directory = (0..tables).map(|table| (first_table + table * TABLE_SECTORS) as u32);
        image.put_bytes(start * SECTOR, bytes(&mut directory));
        image.put_bytes(first_table * SECTOR, grains.clone());
    }
    Ok(image)
}

/// "Hosted Sparse Extent Header".
struct Header {
    version: u32,
    flags: u32,
    capacity: u64,
    second_directory: u64,
    directory: u64,
    overhead: u64,
    compression: u16,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut header = Vec::new();
        header.extend_from_slice(b"KDMV");
        header.extend_from_slice(&self.version.to_le_bytes());
        header.extend_from_slice(&self.flags.to_le_bytes());
        header.extend_from_slice(&self.capacity.to_le_bytes());
        header.extend_from_slice(&GRAIN.to_le_bytes());
        header.extend_from_slice(&DESCRIPTOR.to_le_bytes());
        header.extend_from_slice(&DESCRIPTOR_SECTORS.to_le_bytes());
        header.extend_from_slice(&(TABLE as u32).to_le_bytes());
        header.extend_from_slice(&self.second_directory.to_le_bytes());
        header.extend_from_slice(&self.directory.to_le_bytes());
        header.extend_from_slice(&self.overhead.to_le_bytes());
        // Closed in order; line ends that a transfer as text would change.
        header.extend_from_slice(b"\0\n \r\n");
        header.extend_from_slice(&self.compression.to_le_bytes());
        header.resize(SECTOR as usize, 0);
        header
    }
}

/// "The Descriptor". The adapter and the version of the hardware are those that LinuxKit gives.
fn descriptor(kind: &str, access: &str, capacity: u64, id: u32, name: &str) -> Vec<u8> {
    let (heads, sectors) = (255, 63);
    let cylinders = capacity.div_ceil(heads * sectors);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={id:08x}\nparentCID=ffffffff\ncreateType=\"{kind}\"\n\n\
         # Extent description\n{access} {capacity} SPARSE \"{name}\"\n\n\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"6\"\nddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{heads}\"\nddb.geometry.sectors = \"{sectors}\"\nddb.adapterType = \"lsilogic\"\n"
    )
    .into_bytes()
}
