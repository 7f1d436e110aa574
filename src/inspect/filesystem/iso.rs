//! ISO 9660, read by the crate `hadris-iso`.

use std::io;

use extents::Extents;
use hadris_fs::sync::Volume;
use hadris_fs::{FileType, MountOptions, OpenOptions};
use hadris_iso::sync::IsoFs;
use indicatif::BinaryBytes;

use super::listing::Listing;
use crate::inspect::compressed::copy;
use crate::inspect::contents::{Contents, Descend};
use crate::inspect::source::Source;
use crate::inspect::{Error, lazy, partitions};

const FORMAT: &str = "ISO 9660 filesystem";

/// Lists the files of an ISO image, and the partitions of a hybrid one.
///
/// # Errors
/// A filesystem that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if head.get(0x8001..0x8006) != Some(b"CD001") {
        return Ok(None);
    }
    let volume = mount(content)?;
    let mut listing = Listing::new(FORMAT);
    let mut walk = volume.walk("/").map_err(|error| Error::reader(FORMAT, error))?;
    while let Some(item) = walk.next_entry() {
        let item = item.map_err(|error| Error::reader(FORMAT, error))?;
        let within = item.path().to_vec();
        let path = listing.path("", String::from_utf8_lossy(&within).trim_start_matches('/'))?;
        let metadata = item.entry().metadata();
        if metadata.file_type() != FileType::File {
            continue;
        }
        let content = content.clone();
        let file = lazy::file(metadata.len(), move |out| {
            let volume = mount(&content).map_err(io::Error::other)?;
            let file = volume.open(&within, OpenOptions::new().read());
            let mut file = file.map_err(io::Error::other)?;
            copy(|buf| file.read(buf).map_err(io::Error::other), out)
        });
        listing.add(path, file);
    }
    let label = head.get(0x8028..0x8048).unwrap_or_default();
    let label = String::from_utf8_lossy(label);
    let mut details = Vec::new();
    let mut files = listing.into_files();
    if let Some(disk) = partitions::open(head, content)? {
        details.push(disk.summary);
        details.extend(disk.details);
        // The first partition is the filesystem itself.
        files.extend(disk.files.into_iter().skip(1));
    }
    Ok(Some(Contents {
        summary: format!("ISO image {:?}, {}", label.trim(), BinaryBytes(content.len())),
        details,
        files,
        descend: Descend::Boot,
    }))
}

fn mount(content: &Extents) -> Result<Volume<IsoFs<Source>>, Error> {
    let volume = IsoFs::mount(Source::new(content.clone()), MountOptions::new());
    // The error holds the source, which is no text.
    Ok(Volume::new(
        volume.map_err(|error| Error::reader(FORMAT, error.to_string()))?,
    ))
}
