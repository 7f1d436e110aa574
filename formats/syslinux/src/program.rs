//! Boot sector and ldlinux.sys taken out of the program that carries them: no distribution has
//! them as files.

use crate::{Error, Ldlinux, SECTOR};

const BOOT_SECTOR: &[u8] = b"\xeb\x58\x90SYSLINUX";
const SYSTEM: &[u8] = b"\r\nSYSLINUX";
const WHAT: &str = "the program extlinux";

/// The loader in an `extlinux` for Linux on x86-64, which has ldlinux.sys at the end of a
/// section, so that its length is known to the sector.
///
/// # Errors
/// A program without it.
pub fn from_program(program: &[u8]) -> Result<Ldlinux, Error> {
    let damaged = |found| Error::Damaged { what: WHAT, found };
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return Err(damaged("it is not a program for Linux on x86-64"));
    }
    let sector = find_all(program, BOOT_SECTOR)
        .filter_map(|at| program.get(at..at + SECTOR))
        .find(|sector| sector.ends_with(&[0x55, 0xaa]))
        .ok_or_else(|| damaged("there is no boot sector in it"))?;
    for at in find_all(program, SYSTEM) {
        let end = section_end(program, at).unwrap_or(at);
        let len = (end - at) / SECTOR * SECTOR;
        if let Ok(found) = Ldlinux::new(sector, program.get(at..at + len).unwrap_or_default()) {
            return Ok(found);
        }
    }
    Err(damaged("there is no ldlinux.sys in it"))
}

fn find_all<'a>(bytes: &'a [u8], what: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    (0..bytes.len()).filter(move |&at| bytes.get(at..).is_some_and(|rest| rest.starts_with(what)))
}

/// Where the section ends that has the byte at `at` (System V ABI, "Sections").
fn section_end(program: &[u8], at: usize) -> Option<usize> {
    let number = |at: usize, len: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(len)?)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    let (table, size, count) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?);
    (0..count).find_map(|index| {
        let header = table.checked_add(index.checked_mul(size)?)?;
        let start = number(header.checked_add(0x18)?, 8)?;
        let end = start.checked_add(number(header.checked_add(0x20)?, 8)?)?;
        // 8 is a section without bytes in the file.
        let has_bytes = number(header.checked_add(4)?, 4)? != 8;
        (has_bytes && (start..end).contains(&at) && end <= program.len()).then_some(end)
    })
}
