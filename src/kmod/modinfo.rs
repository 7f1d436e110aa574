//! Section `.modinfo` of a kernel module, an ELF file (gABI, Sections).

/// Returns the entries of the section, each `KEY=VALUE`, or `None` for a file that is not a module.
pub fn entries(bytes: &[u8]) -> Option<Vec<String>> {
    let number = |at: usize, len: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(len)?)?;
        let value = field
            .iter()
            .rev()
            .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).ok()
    };
    // 64 bits, little-endian, as amd64, arm64 and riscv64 are.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    // e_shoff, e_shentsize, e_shnum, e_shstrndx.
    let (table, size, count, names) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?, number(0x3e, 2)?);
    // A field of a section header: sh_name at 0, sh_offset at 0x18, sh_size at 0x20.
    let field = |index: usize, at: usize, len: usize| {
        let header = table.checked_add(index.checked_mul(size)?)?;
        number(header.checked_add(at)?, len)
    };
    let names = field(names, 0x18, 8)?;
    for index in 0..count {
        let name = names.checked_add(field(index, 0, 4)?)?;
        if bytes.get(name..)?.starts_with(b".modinfo\0") {
            let (start, len) = (field(index, 0x18, 8)?, field(index, 0x20, 8)?);
            let section = bytes.get(start..start.checked_add(len)?)?;
            let lines = section.split(|&byte| byte == 0).filter(|line| !line.is_empty());
            return Some(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect());
        }
    }
    None
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
