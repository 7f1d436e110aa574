//! VHD disk images, fixed and dynamic (Microsoft, "Virtual Hard Disk Image Format Specification",
//! 2006). Numbers are big-endian.
//!
//! ```text
//! fixed     disk | footer
//! dynamic   footer | header | block allocation table | blocks | footer
//!           block: 512 bytes of bitmap, then 2 MiB
//! ```

use extents::Extents;

/// The length of a sector, of a footer and of a block's bitmap in bytes.
const SECTOR: u64 = 512;
/// The length of a block in bytes.
const BLOCK: u64 = 2 << 20;
/// The most sectors that the geometry can say ("Appendix: CHS Calculation"), and the most bytes of
/// a dynamic disk.
const MOST_CHS: u64 = 65_535 * 16 * 255;
const LARGEST: u64 = 2040 << 30;
/// Who made it. Readers take the size from the geometry, which is not exact, unless they know the
/// creator as one that gives it exactly: this is Hyper-V's.
const CREATOR: &[u8; 4] = b"win ";
const CREATOR_VERSION: u32 = 0x000a_0000;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk has more bytes than the format can hold.
    #[error("a disk of {size} bytes is too large for VHD: {LARGEST} at most\nhelp: use another format")]
    TooLarge {
        /// Its length in bytes.
        size: u64,
    },
}

/// What the caller decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What the disk is known by.
    pub uuid: u128,
    /// When it was made, in seconds of the Unix epoch.
    pub time: i64,
}

/// 2000-01-01T00:00:00Z, from which the format counts.
const EPOCH: i64 = 946_684_800;

/// Cylinders, heads and sectors of a disk ("Appendix: CHS Calculation").
fn geometry(size: u64) -> (u16, u8, u8) {
    let total = (size / SECTOR).min(MOST_CHS);
    let (mut sectors, mut heads, mut tracks);
    if total >= 65_535 * 16 * 63 {
        (sectors, heads) = (255, 16);
        tracks = total / sectors;
    } else {
        sectors = 17;
        tracks = total / sectors;
        heads = tracks.div_ceil(1024).max(4);
        if tracks >= heads * 1024 || heads > 16 {
            (sectors, heads) = (31, 16);
            tracks = total / sectors;
        }
        if tracks >= heads * 1024 {
            (sectors, heads) = (63, 16);
            tracks = total / sectors;
        }
    }
    // All within their fields because of MOST_CHS.
    ((tracks / heads) as u16, heads as u8, sectors as u8)
}

/// The sum of all bytes with the field for it as zero, inverted ("Checksum").
fn sum(bytes: &mut [u8], at: usize) {
    let sum = !bytes.iter().fold(0u32, |sum, byte| sum.wrapping_add((*byte).into()));
    for (to, from) in bytes.iter_mut().skip(at).zip(sum.to_be_bytes()) {
        *to = from;
    }
}

fn footer(size: u64, kind: u32, options: &Options) -> Vec<u8> {
    let (cylinders, heads, sectors) = geometry(size);
    let time = u32::try_from(options.time.saturating_sub(EPOCH).max(0)).unwrap_or(u32::MAX);
    let mut footer = Vec::new();
    footer.extend_from_slice(b"conectix");
    // The bit that is always set.
    footer.extend_from_slice(&2u32.to_be_bytes());
    footer.extend_from_slice(&0x0001_0000u32.to_be_bytes());
    footer.extend_from_slice(&if kind == FIXED { u64::MAX } else { SECTOR }.to_be_bytes());
    footer.extend_from_slice(&time.to_be_bytes());
    footer.extend_from_slice(CREATOR);
    footer.extend_from_slice(&CREATOR_VERSION.to_be_bytes());
    footer.extend_from_slice(b"Wi2k");
    footer.extend_from_slice(&size.to_be_bytes());
    footer.extend_from_slice(&size.to_be_bytes());
    footer.extend_from_slice(&cylinders.to_be_bytes());
    footer.extend_from_slice(&[heads, sectors]);
    footer.extend_from_slice(&kind.to_be_bytes());
    footer.extend_from_slice(&[0; 4]);
    footer.extend_from_slice(&options.uuid.to_be_bytes());
    footer.resize(SECTOR as usize, 0);
    sum(&mut footer, 64);
    footer
}

fn size(disk: &Extents) -> Result<u64, Error> {
    let size = disk.len().next_multiple_of(SECTOR);
    match size <= LARGEST {
        true => Ok(size),
        false => Err(Error::TooLarge { size }),
    }
}

/// Plans a fixed image: the disk with a footer.
///
/// # Errors
/// A disk that is too large.
pub fn fixed(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let size = size(disk)?;
    let mut image = disk.clone();
    image.set_len(size);
    image.push_bytes(footer(size, FIXED, options));
    Ok(image)
}

/// Plans a dynamic image: blocks in which nothing stands take no room.
///
/// # Errors
/// A disk that is too large.
pub fn dynamic(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let size = size(disk)?;
    let footer = footer(size, DYNAMIC, options);
    let entries = size.div_ceil(BLOCK);
    let table_start = SECTOR + 1024;
    let mut header = Vec::new();
    header.extend_from_slice(b"cxsparse");
    header.extend_from_slice(&u64::MAX.to_be_bytes());
    header.extend_from_slice(&table_start.to_be_bytes());
    header.extend_from_slice(&0x0001_0000u32.to_be_bytes());
    // LARGEST keeps these within 32 bits.
    header.extend_from_slice(&(entries as u32).to_be_bytes());
    header.extend_from_slice(&(BLOCK as u32).to_be_bytes());
    header.resize(1024, 0);
    sum(&mut header, 36);

    let mut table = vec![u32::MAX; entries as usize];
    let mut image = Extents::from_bytes(footer.clone());
    image.push_bytes(header);
    image.push_zeros((entries * 4).next_multiple_of(SECTOR));
    let filling = image.len() - table_start;
    for range in disk.occupied(BLOCK) {
        for block in range {
            if let Some(entry) = table.get_mut(block as usize) {
                *entry = (image.len() / SECTOR) as u32;
            }
            // Every sector of a block that is there is there.
            image.push_bytes(vec![0xff; SECTOR as usize]);
            let mut content = disk.part(block * BLOCK, BLOCK);
            content.set_len(BLOCK);
            image.push(&content);
        }
    }
    let mut bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
    bytes.resize(filling as usize, 0xff);
    image.put_bytes(table_start, bytes);
    image.push_bytes(footer);
    Ok(image)
}
