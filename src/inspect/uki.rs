//! Unified kernel images: UEFI programs with kernel and initrd in sections, read by the crate
//! `goblin`.

use extents::Extents;
use goblin::pe::header::{Header, SIZEOF_COFF_HEADER, SIZEOF_PE_MAGIC};
use indicatif::BinaryBytes;

use super::contents::{Contents, Descend, Entry};

/// Sections of a unified kernel image (UAPI.5).
const SECTIONS: [&str; 6] = [".linux", ".initrd", ".cmdline", ".osrel", ".uname", ".sbat"];

/// Lists the sections of a unified kernel image. A kernel alone is a UEFI program, too, but has
/// no section `.linux`.
pub fn open(head: &[u8], content: &Extents) -> Option<Contents> {
    if !head.starts_with(b"MZ") || !head.windows(8).any(|name| name == b".linux\0\0") {
        return None;
    }
    let header = Header::parse(head).ok()?;
    let mut at = usize::try_from(header.dos_header.pe_pointer).ok()?;
    at = at.checked_add(SIZEOF_PE_MAGIC + SIZEOF_COFF_HEADER)?;
    at = at.checked_add(header.coff_header.size_of_optional_header.into())?;
    let mut entries = Vec::new();
    for section in header.coff_header.sections(head, &mut at).ok()? {
        let Ok(name) = section.name() else { continue };
        let len = section.virtual_size.min(section.size_of_raw_data);
        if SECTIONS.contains(&name) {
            let section = content.part(section.pointer_to_raw_data.into(), len.into());
            entries.push(Entry::file(name, section));
        }
    }
    if !entries.iter().any(|section| section.path == ".linux") {
        return None;
    }
    Some(Contents {
        format: "unified kernel image",
        summary: format!("unified kernel image, {}", BinaryBytes(content.len())),
        details: Vec::new(),
        entries,
        descend: Descend::All,
    })
}
