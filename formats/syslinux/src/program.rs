//! Extraction of boot sector and ldlinux.sys from the installer that embeds them, since no
//! distribution has them as files.

use goblin::container::Ctx;
use goblin::elf::{Elf, SectionHeader};

use crate::{Error, Ldlinux, SECTOR};

const BOOT_SECTOR: &[u8] = b"\xeb\x58\x90SYSLINUX";
const SYSTEM: &[u8] = b"\r\nSYSLINUX";

/// Extracts the loader from the program `extlinux` for Linux on x86-64, which has ldlinux.sys at the
/// end of a section, so that its length is known to the sector.
///
/// # Errors
/// The program is not for x86-64, or has no boot sector or no ldlinux.sys of a known version.
pub fn from_program(program: &[u8]) -> Result<Ldlinux, Error> {
    let corrupt = |found| Error::Corrupt {
        part: "the program extlinux",
        found,
    };
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return Err(corrupt("it is not a 64-bit ELF file"));
    }
    let sector = find_all(program, BOOT_SECTOR)
        .filter_map(|at| program.get(at..at + SECTOR))
        .find(|sector| sector.ends_with(&[0x55, 0xaa]))
        .ok_or_else(|| corrupt("there is no boot sector in it"))?;
    let sections = sections(program).unwrap_or_default();
    for at in find_all(program, SYSTEM) {
        let end = section_end(&sections, at).unwrap_or(at);
        let len = (end - at) / SECTOR * SECTOR;
        if let Ok(found) = Ldlinux::new(sector, program.get(at..at + len).unwrap_or_default()) {
            return Ok(found);
        }
    }
    Err(corrupt("there is no ldlinux.sys in it"))
}

fn find_all<'a>(bytes: &'a [u8], pattern: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    (0..bytes.len()).filter(move |&at| bytes.get(at..).is_some_and(|rest| rest.starts_with(pattern)))
}

/// Sections of an ELF file (System V ABI, "Sections").
fn sections(program: &[u8]) -> goblin::error::Result<Vec<SectionHeader>> {
    let header = Elf::parse_header(program)?;
    let context = Ctx::new(header.container()?, header.endianness()?);
    let offset = usize::try_from(header.e_shoff).unwrap_or(usize::MAX);
    SectionHeader::parse(program, offset, header.e_shnum.into(), context)
}

/// Returns the end of the section with the byte at `at`.
fn section_end(sections: &[SectionHeader], at: usize) -> Option<usize> {
    let mut ranges = sections.iter().filter_map(SectionHeader::file_range);
    ranges.find(|range| range.contains(&at)).map(|range| range.end)
}
