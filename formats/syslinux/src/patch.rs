//! The patch area and its extension (libinstaller/syslxint.h, `struct patch_area` and
//! `struct ext_patch_area`).

use crate::{Error, SECTOR};

/// Magic number of the patch area, and sum of all 32-bit words of an installed ldlinux.sys.
pub(crate) const MAGIC: u32 = 0x3eb2_02fe;
/// Length of an extent in the list of sectors: a sector of 64 bits and a count of 16, in bytes.
pub(crate) const EXTENT_LEN: usize = 10;
/// Offset in the patch area of the offset of its extension (`epaoffset`).
const EXTENSION: usize = 22;

/// Offsets of a loader's fields, in ldlinux.sys unless they say otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    /// Offset of the patch area.
    pub start: usize,
    /// Offset of the two sector numbers of the ADV, of 64 bits each (`advptroffset`).
    pub adv: usize,
    /// Offset of the directory's path (`diroffset`).
    pub directory: usize,
    /// Length of the field for the path in bytes, with its final zero (`dirlen`).
    pub directory_len: usize,
    /// Offset of the list of sectors (`secptroffset`).
    pub extents: usize,
    /// Number of extents that fit the list (`secptrcnt`).
    pub max_extents: usize,
    /// Offset in the boot sector of the lower half of the first sector's number (`sect1ptr0`).
    pub first_low: usize,
    /// Offset in the boot sector of the upper half of the first sector's number (`sect1ptr1`).
    pub first_high: usize,
}

impl Area {
    /// Finds the fields of an ldlinux.sys.
    pub(crate) fn find(system: &[u8]) -> Result<Area, Error> {
        let corrupt = |found| Error::Corrupt {
            part: "ldlinux.sys",
            found,
        };
        let start = (0..SECTOR)
            .step_by(4)
            .find(|at| dword(system, *at) == Some(MAGIC))
            .ok_or_else(|| corrupt("there is no patch area in its first sector"))?;
        let extension = word(system, start + EXTENSION).ok_or_else(|| corrupt("its patch area is truncated"))?;
        let field = |index: usize| {
            word(system, extension + 2 * index).ok_or_else(|| corrupt("its extended patch area is truncated"))
        };
        let area = Area {
            start,
            adv: field(0)?,
            directory: field(1)?,
            directory_len: field(2)?,
            extents: field(5)?,
            max_extents: field(6)?,
            first_low: field(7)?,
            first_high: field(8)?,
        };
        let inside = |at: usize, len: usize, of: usize| at >= 4 && at.checked_add(len).is_some_and(|end| end <= of);
        let all = inside(area.adv, 16, system.len())
            && inside(area.directory, area.directory_len, system.len())
            && inside(area.extents, area.max_extents * EXTENT_LEN, system.len())
            && inside(area.first_low, 4, SECTOR - 2)
            && inside(area.first_high, 4, SECTOR - 2);
        all.then_some(area)
            .ok_or_else(|| corrupt("its patch area has offsets beyond its end"))
    }
}

/// Reads a number of 16 bits.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let two: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_le_bytes(two).into())
}

/// Reads a number of 32 bits.
pub(crate) fn dword(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_le_bytes(four))
}

/// Replaces bytes; those beyond the end are dropped.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}
