//! The footer ("Hard Disk Footer Format").

use crate::{Kind, Options, SECTOR, VERSION};

/// 2000-01-01T00:00:00Z, from which the format counts, in seconds of the Unix epoch.
const EPOCH: i64 = 946_684_800;
/// Maximum number of sectors that the geometry can express ("Appendix: CHS Calculation").
const MAX_CHS_SECTORS: u64 = 65_535 * 16 * 255;
/// Creator application and version of Hyper-V. Readers take the size from the geometry, which is
/// not exact, unless they know the creator as one that gives it exactly.
const CREATOR: &[u8; 4] = b"win ";
const CREATOR_VERSION: u32 = 0x000a_0000;
/// Creator host OS: Windows.
const CREATOR_HOST: &[u8; 4] = b"Wi2k";
/// "Features": the bit that is always set.
const FEATURES: u32 = 2;
/// Offset of the checksum.
const CHECKSUM: usize = 64;

/// Encodes the footer of a disk of `size` bytes.
pub(crate) fn footer(size: u64, options: &Options) -> Vec<u8> {
    let (cylinders, heads, sectors) = geometry(size);
    let time = u32::try_from(options.time.saturating_sub(EPOCH).max(0)).unwrap_or(u32::MAX);
    let (kind, data_offset) = match options.kind {
        Kind::Fixed => (2u32, u64::MAX),
        // The header is behind the copy of the footer.
        Kind::Dynamic => (3, SECTOR),
    };
    let mut footer = b"conectix".to_vec();
    footer.extend_from_slice(&FEATURES.to_be_bytes());
    footer.extend_from_slice(&VERSION.to_be_bytes());
    footer.extend_from_slice(&data_offset.to_be_bytes());
    footer.extend_from_slice(&time.to_be_bytes());
    footer.extend_from_slice(CREATOR);
    footer.extend_from_slice(&CREATOR_VERSION.to_be_bytes());
    footer.extend_from_slice(CREATOR_HOST);
    // "Original Size" and "Current Size".
    footer.extend_from_slice(&size.to_be_bytes());
    footer.extend_from_slice(&size.to_be_bytes());
    footer.extend_from_slice(&cylinders.to_be_bytes());
    footer.extend_from_slice(&[heads, sectors]);
    footer.extend_from_slice(&kind.to_be_bytes());
    footer.extend_from_slice(&[0; 4]);
    footer.extend_from_slice(options.uuid.as_bytes());
    footer.resize(SECTOR as usize, 0);
    put_checksum(&mut footer, CHECKSUM);
    footer
}

/// Computes the cylinders, heads and sectors of a disk ("Appendix: CHS Calculation").
fn geometry(size: u64) -> (u16, u8, u8) {
    let total = (size / SECTOR).min(MAX_CHS_SECTORS);
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
    // MAX_CHS_SECTORS keeps all within their fields.
    ((tracks / heads) as u16, heads as u8, sectors as u8)
}

/// Puts the sum of all bytes, inverted, at `at`, where the bytes are zero ("Checksum").
pub(crate) fn put_checksum(bytes: &mut [u8], at: usize) {
    let sum = !bytes.iter().fold(0u32, |sum, byte| sum.wrapping_add((*byte).into()));
    for (to, from) in bytes.iter_mut().skip(at).zip(sum.to_be_bytes()) {
        *to = from;
    }
}
