//! ext4, read by the crate `ext4-view`.

use std::io;

use ext4_view::{Ext4, Ext4Error, FileType};
use extents::Extents;

use super::{Files, wrong};
use crate::inspect::compressed::copy;
use crate::inspect::source::Source;
use crate::inspect::{Inside, Look, lazy};

/// Where the superblock has its magic number, in bytes (Documentation/filesystems/ext4/super.rst).
const MAGIC: usize = 1024 + 0x38;

/// The files of an ext4 filesystem.
pub fn ext4(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if head.get(MAGIC..MAGIC + 2) != Some(&[0x53, 0xef]) {
        return Ok(None);
    }
    let wrong = wrong("ext4");
    let volume = mount(content).map_err(|error| wrong(&error))?;
    let mut files = Files::default();
    let mut folders = vec![(String::new(), ext4_view::PathBuf::new("/"))];
    while let Some((path, folder)) = folders.pop() {
        for entry in volume.read_dir(&folder).map_err(|error| wrong(&error))? {
            let entry = entry.map_err(|error| wrong(&error))?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = files.path(&path, &String::from_utf8_lossy(name.as_ref()))?;
            let within = entry.path();
            match entry.file_type().map_err(|error| wrong(&error))? {
                FileType::Directory => folders.push((path, within)),
                FileType::Regular => {
                    let len = entry.metadata().map_err(|error| wrong(&error))?.len();
                    let content = content.clone();
                    let file = lazy::file(len, move |out| {
                        let mut file = mount(&content)
                            .and_then(|volume| volume.open(&within))
                            .map_err(failed)?;
                        copy(|buf| file.read_bytes(buf).map_err(failed), out)
                    });
                    files.add(path, file);
                }
                _ => {}
            }
        }
    }
    let label = volume.label().to_str().unwrap_or_default().to_owned();
    Ok(Some(Inside {
        what: format!("ext4 filesystem {label:?} of {} bytes", content.len()),
        files: files.sorted(),
        look: Look::Boot,
    }))
}

fn mount(content: &Extents) -> Result<Ext4, Ext4Error> {
    Ext4::load(Box::new(Source::new(content.clone())))
}

fn failed(error: Ext4Error) -> io::Error {
    io::Error::other(error.to_string())
}
