//! Programs for UEFI, read by the crate `goblin`, and kernels.

use extents::Extents;

use super::{Inside, Look};

/// The largest program that is looked into, in bytes.
const LARGEST: u64 = 2 << 30;

/// The sections of a unified kernel image.
pub fn sections(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if !head.starts_with(b"MZ") || content.len() > LARGEST {
        return Ok(None);
    }
    // A kernel is a program too, of sections that say nothing. The names stand at the beginning.
    if !head.windows(8).any(|name| name == b".linux\0\0") {
        return Ok(None);
    }
    let bytes = content.to_vec().map_err(|error| error.to_string())?;
    let Ok(program) = goblin::pe::PE::parse(&bytes) else {
        return Ok(None);
    };
    let mut files = Vec::new();
    for section in &program.sections {
        let Ok(name) = section.name() else { continue };
        let len = section.virtual_size.min(section.size_of_raw_data);
        if [".linux", ".initrd", ".cmdline", ".osrel", ".uname", ".sbat"].contains(&name) {
            files.push((
                name.to_owned(),
                content.part(section.pointer_to_raw_data.into(), len.into()),
            ));
        }
    }
    if !files.iter().any(|(name, _)| name == ".linux") {
        return Ok(None);
    }
    Ok(Some(Inside {
        what: "unified kernel image".into(),
        files,
        look: Look::All,
    }))
}
