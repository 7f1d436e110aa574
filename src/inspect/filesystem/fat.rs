//! FAT, read by the crate `fatfs`.

use std::io;

use extents::Extents;
use fatfs::{FatType, FileSystem, FsOptions};
use indicatif::BinaryBytes;

use super::listing::Listing;
use crate::inspect::compressed::copy;
use crate::inspect::contents::{Contents, Descend, Metadata, Node};
use crate::inspect::source::Source;
use crate::inspect::{Error, lazy};

const FORMAT: &str = "FAT filesystem";

/// Lists the files of a FAT filesystem.
///
/// # Errors
/// A filesystem that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    // The field BS_FilSysType, of FAT12 and FAT16, and of FAT32.
    let is_fat = |at: usize| head.get(at..).is_some_and(|rest| rest.starts_with(b"FAT"));
    if !(is_fat(54) || is_fat(82)) || head.get(510..512) != Some(&[0x55, 0xaa]) {
        return Ok(None);
    }
    let rejected = |error: io::Error| Error::reader(FORMAT, error);
    let mount = |content: &Extents| FileSystem::new(Source::new(content.clone()), FsOptions::new());
    let volume = mount(content).map_err(rejected)?;
    let mut listing = Listing::new(FORMAT);
    let mut directories = vec![(String::new(), volume.root_dir())];
    while let Some((path, directory)) = directories.pop() {
        for entry in directory.iter() {
            let entry = entry.map_err(rejected)?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = listing.path(&path, &name)?;
            if entry.is_dir() {
                listing.add(path.clone(), Node::Directory, Metadata::default());
                directories.push((path, entry.to_dir()));
                continue;
            }
            let (content, within) = (content.clone(), path.clone());
            let file = lazy::file(entry.len(), move |out| {
                let volume = mount(&content)?;
                let mut file = volume.root_dir().open_file(&within)?;
                copy(|buf| io::Read::read(&mut file, buf), out)
            });
            listing.add(path, Node::File(file), Metadata::default());
        }
    }
    let name = match volume.fat_type() {
        FatType::Fat12 => "FAT12",
        FatType::Fat16 => "FAT16",
        FatType::Fat32 => "FAT32",
    };
    // The field BS_OEMName.
    let loader = if head.get(3..11) == Some(b"SYSLINUX") {
        ", boots by SYSLINUX"
    } else {
        ""
    };
    Ok(Some(Contents {
        format: FORMAT,
        summary: format!(
            "{name} filesystem {:?}, {}{loader}",
            volume.volume_label().trim(),
            BinaryBytes(content.len())
        ),
        details: Vec::new(),
        entries: listing.into_entries(),
        descend: Descend::All,
    }))
}
