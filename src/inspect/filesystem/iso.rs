//! ISO 9660, read by the crate `hadris-iso`.

use extents::Extents;
use hadris_fs::sync::Volume;
use hadris_fs::{FileType, MountOptions, OpenOptions};
use hadris_iso::sync::IsoFs;

use super::{Files, wrong};
use crate::inspect::compressed::copy;
use crate::inspect::source::Source;
use crate::inspect::{Inside, Look, disk, lazy};

/// The files of a CD, and the partitions that it has as a disk.
pub fn iso(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if head.get(0x8001..0x8006) != Some(b"CD001") {
        return Ok(None);
    }
    let wrong = wrong("ISO 9660");
    let volume = mount(content).map_err(|error| wrong(&error))?;
    let mut files = Files::default();
    let mut walk = volume.walk("/").map_err(|error| wrong(&error))?;
    while let Some(item) = walk.next_entry() {
        let item = item.map_err(|error| wrong(&error))?;
        let within = item.path().to_vec();
        let path = files.path("", String::from_utf8_lossy(&within).trim_start_matches('/'))?;
        let about = item.entry().metadata();
        if about.file_type() != FileType::File {
            continue;
        }
        let cd = content.clone();
        let file = lazy::file(about.len(), move |out| {
            let volume = mount(&cd).map_err(std::io::Error::other)?;
            let failed = |error: &dyn std::fmt::Display| std::io::Error::other(error.to_string());
            let mut file = volume
                .open(&within, OpenOptions::new().read())
                .map_err(|error| failed(&error))?;
            copy(|buf| file.read(buf).map_err(|error| failed(&error)), out)
        });
        files.add(path, file);
    }
    let label = head.get(0x8028..0x8048).unwrap_or_default();
    let label = String::from_utf8_lossy(label);
    let mut what = format!("CD {:?} of {} bytes", label.trim(), content.len());
    let mut files = files.sorted();
    if let Some(partitions) = disk::partitions(head, content)? {
        what = format!("{what}; {}", partitions.what);
        // The first is the CD itself.
        files.extend(partitions.files.into_iter().skip(1));
    }
    Ok(Some(Inside {
        what,
        files,
        look: Look::Boot,
    }))
}

fn mount(content: &Extents) -> Result<Volume<IsoFs<Source>>, String> {
    let volume = IsoFs::mount(Source::new(content.clone()), MountOptions::new());
    Ok(Volume::new(volume.map_err(|error| error.to_string())?))
}
