//! Section `.modinfo` of a kernel module, an ELF file (gABI, Sections).

use goblin::container::Ctx;
use goblin::elf::{Elf, SectionHeader};

const NAME: &[u8] = b".modinfo\0";

/// Returns the entries of the section, each `KEY=VALUE`, or `None` for a file that is not a module.
pub fn entries(bytes: &[u8]) -> Option<Vec<String>> {
    let header = Elf::parse_header(bytes).ok()?;
    let context = Ctx::new(header.container().ok()?, header.endianness().ok()?);
    let table = usize::try_from(header.e_shoff).ok()?;
    let sections = SectionHeader::parse(bytes, table, header.e_shnum.into(), context).ok()?;
    let names = bytes.get(sections.get(usize::from(header.e_shstrndx))?.file_range()?)?;
    let modinfo = sections.iter().find(|section| {
        let name = names.get(section.sh_name..);
        name.is_some_and(|name| name.starts_with(NAME))
    })?;
    let content = bytes.get(modinfo.file_range()?)?;
    let lines = content.split(|&byte| byte == 0).filter(|line| !line.is_empty());
    Some(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::entries;

    #[test]
    fn any_number_in_a_header_is_handled() {
        // Where the section headers are, how long one is, and which has the names.
        for (at, len) in [(0x28, 8), (0x3a, 2), (0x3c, 2), (0x3e, 2)] {
            for byte in [0, 1, 0x40, 0x7f, 0xff] {
                let mut file = b"\x7fELF\x02\x01".to_vec();
                file.resize(0x40, 0xff);
                file.splice(at..at + len, std::iter::repeat_n(byte, len));
                file.extend([byte; 200]);
                assert_eq!(entries(&file), None);
            }
        }
    }
}
