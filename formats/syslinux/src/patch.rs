//! The patch area and its extension (libinstaller/syslxint.h, struct patch_area and ext_patch_area).

use crate::{Error, SECTOR};

/// What marks the patch area, and what all of ldlinux.sys adds up to.
pub const MAGIC: u32 = 0x3eb2_02fe;

const WHAT: &str = "ldlinux.sys";

/// Where the fields of a loader are, as offsets in ldlinux.sys, or in the boot sector.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// The patch area.
    pub start: usize,
    /// Two numbers of 64 bits: the sectors of the ADV.
    pub adv: usize,
    /// The path of the folder, and how many bytes there are for it.
    pub folder: usize,
    pub folder_len: usize,
    /// The list of pieces, and how many there can be.
    pub pieces: usize,
    pub most_pieces: usize,
    /// In the boot sector: the lower and the upper half of the number of the first sector.
    pub first_low: usize,
    pub first_high: usize,
}

/// The length of a piece in the list: a sector of 64 bits and a count of 16.
pub const PIECE: usize = 10;

impl Area {
    /// Finds the fields.
    pub fn find(system: &[u8]) -> Result<Area, Error> {
        let damaged = |found| Error::Damaged { what: WHAT, found };
        let start = (0..SECTOR)
            .step_by(4)
            .find(|at| dword(system, *at) == Some(MAGIC))
            .ok_or_else(|| damaged("there is no patch area in its first sector"))?;
        let extension = word(system, start + 22).ok_or_else(|| damaged("its patch area is cut"))?;
        let field =
            |index: usize| word(system, extension + 2 * index).ok_or_else(|| damaged("its extended patch area is cut"));
        let area = Area {
            start,
            adv: field(0)?,
            folder: field(1)?,
            folder_len: field(2)?,
            pieces: field(5)?,
            most_pieces: field(6)?,
            first_low: field(7)?,
            first_high: field(8)?,
        };
        let inside = |at: usize, len: usize, of: usize| at >= 4 && at.checked_add(len).is_some_and(|end| end <= of);
        let all = inside(area.adv, 16, system.len())
            && inside(area.folder, area.folder_len, system.len())
            && inside(area.pieces, area.most_pieces * PIECE, system.len())
            && inside(area.first_low, 4, SECTOR - 2)
            && inside(area.first_high, 4, SECTOR - 2);
        all.then_some(area)
            .ok_or_else(|| damaged("its patch area names places outside of it"))
    }
}

/// A number of 16 bits.
pub fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let two: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_le_bytes(two).into())
}

/// A number of 32 bits.
pub fn dword(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_le_bytes(four))
}

/// Writes over bytes; what is behind the end is left out.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}
