//! Sections of programs in ELF (gABI, Sections).

use extents::Extents;
use goblin::container::Ctx;
use goblin::elf::{Elf, SectionHeader};

const MAGIC: &[u8] = b"\x7fELF";
/// Length of the longer of the two file headers, in bytes.
const HEADER: u64 = 64;
/// Maximum number of sections that are read. Real programs have at most a few hundred.
const MAX_SECTIONS: u64 = 4096;
/// Length of the longer of the two section headers, in bytes.
const SECTION: u64 = 64;
/// Maximum length of the table of section names, in bytes.
const MAX_NAMES: u64 = 1 << 20;

/// Sections of a program, by name.
pub struct Sections {
    sections: Vec<(String, Extents)>,
}

impl Sections {
    /// Reads the section headers. None for a file that is not ELF, or is corrupt.
    pub fn read(content: &Extents) -> Option<Sections> {
        if content.len() < HEADER || content.part(0, 4).to_vec().ok()? != MAGIC {
            return None;
        }
        let head = content.part(0, HEADER).to_vec().ok()?;
        let header = Elf::parse_header(&head).ok()?;
        let context = Ctx::new(header.container().ok()?, header.endianness().ok()?);
        let count = u64::from(header.e_shnum);
        if count > MAX_SECTIONS {
            return None;
        }
        let table = content.part(header.e_shoff, count * SECTION).to_vec().ok()?;
        let headers = SectionHeader::parse_from(&table, 0, usize::from(header.e_shnum), context).ok()?;
        let names = headers.get(usize::from(header.e_shstrndx))?;
        if names.sh_size > MAX_NAMES {
            return None;
        }
        let names = content.part(names.sh_offset, names.sh_size).to_vec().ok()?;
        let named = headers.iter().filter_map(|section| {
            let name = names.get(section.sh_name..)?;
            let name = name.split(|byte| *byte == 0).next()?;
            let bytes = content.part(section.sh_offset, section.sh_size);
            // Sections such as `.bss` have no bytes in the file.
            let is_there = bytes.len() == section.sh_size && section.sh_type != goblin::elf::section_header::SHT_NOBITS;
            is_there.then(|| (String::from_utf8_lossy(name).into_owned(), bytes))
        });
        Some(Sections {
            sections: named.collect(),
        })
    }

    /// Returns the content of the first section of a name.
    pub fn get(&self, name: &str) -> Option<&Extents> {
        let found = self.sections.iter().find(|(known, _)| known == name);
        found.map(|(_, content)| content)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Builds a 64-bit little-endian program of sections, each with its name and content.
    pub fn program(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; 64];
        let mut names = vec![0u8];
        let mut headers = vec![[0u64; 4]];
        for (name, content) in sections {
            headers.push([names.len() as u64, 1, file.len() as u64, content.len() as u64]);
            names.extend(name.as_bytes());
            names.push(0);
            file.extend(*content);
        }
        headers.push([names.len() as u64, 3, file.len() as u64, 0]);
        names.extend(b".shstrtab\0");
        if let Some(last) = headers.last_mut() {
            last[3] = names.len() as u64;
        }
        file.extend(&names);
        let table = file.len() as u64;
        for [name, kind, offset, len] in &headers {
            let mut header = [0u8; 64];
            header[..4].copy_from_slice(&(*name as u32).to_le_bytes());
            header[4..8].copy_from_slice(&(*kind as u32).to_le_bytes());
            header[24..32].copy_from_slice(&offset.to_le_bytes());
            header[32..40].copy_from_slice(&len.to_le_bytes());
            file.extend(header);
        }
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[40..48].copy_from_slice(&table.to_le_bytes());
        file[58..60].copy_from_slice(&64u16.to_le_bytes());
        file[60..62].copy_from_slice(&(headers.len() as u16).to_le_bytes());
        file[62..64].copy_from_slice(&(headers.len() as u16 - 1).to_le_bytes());
        file
    }

    #[test]
    fn sections_are_found_by_name() {
        let program = program(&[(".a", b"one"), (".b", b"two!")]);
        let sections = Sections::read(&Extents::from_bytes(program.clone())).unwrap();
        assert_eq!(sections.get(".b").unwrap().to_vec().unwrap(), b"two!");
        assert!(sections.get(".c").is_none());
        // Every truncation, and every byte of the header changed, is handled.
        for at in 0..program.len() {
            drop(Sections::read(&Extents::from_bytes(program[..at].to_vec())));
        }
        for at in 4..64 {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut corrupt = program.clone();
                corrupt[at] = byte;
                drop(Sections::read(&Extents::from_bytes(corrupt)));
            }
        }
    }
}
