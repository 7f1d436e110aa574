//! FAT, read by the crate `fatfs`.

use std::io;

use extents::Extents;
use fatfs::{FileSystem, FsOptions};

use super::{Files, wrong};
use crate::inspect::compressed::copy;
use crate::inspect::source::Source;
use crate::inspect::{Inside, Look, lazy};

/// The files of a FAT filesystem.
pub fn fat(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    let named = |at: usize| head.get(at..).is_some_and(|rest| rest.starts_with(b"FAT"));
    if !(named(54) || named(82)) || head.get(510..512) != Some(&[0x55, 0xaa]) {
        return Ok(None);
    }
    let wrong = wrong("FAT");
    let mount = |content: &Extents| FileSystem::new(Source::new(content.clone()), FsOptions::new());
    let volume = mount(content).map_err(|error| wrong(&error))?;
    let mut files = Files::default();
    let mut folders = vec![(String::new(), volume.root_dir())];
    while let Some((path, folder)) = folders.pop() {
        for entry in folder.iter() {
            let entry = entry.map_err(|error| wrong(&error))?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = files.path(&path, &name)?;
            if entry.is_dir() {
                folders.push((path, entry.to_dir()));
                continue;
            }
            let (content, within) = (content.clone(), path.clone());
            let file = lazy::file(entry.len(), move |out| {
                let volume = mount(&content)?;
                let mut file = volume.root_dir().open_file(&within)?;
                copy(|buf| io::Read::read(&mut file, buf), out)
            });
            files.add(path, file);
        }
    }
    let loader = match head.get(3..11) {
        Some(b"SYSLINUX") => ", with syslinux",
        _ => "",
    };
    let (kind, label) = (volume.fat_type(), volume.volume_label());
    Ok(Some(Inside {
        what: format!("{kind:?} filesystem {:?}{loader}", label.trim()),
        files: files.sorted(),
        look: Look::All,
    }))
}
