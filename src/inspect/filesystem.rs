//! FAT, read by the crate `fatfs`, and ISO 9660, read by `hadris-iso`.

use std::io::Read;

use extents::Extents;
use hadris_fs::sync::Volume;
use hadris_fs::{FileType, MountOptions};
use hadris_iso::sync::IsoFs;

use super::{Inside, disk};

/// The largest CD that is looked into, in bytes: its reader wants it in memory.
const LARGEST_CD: u64 = 2 << 30;
/// The largest file of a FAT filesystem that is looked into.
const LARGEST_FILE: u64 = 2 << 30;

/// The files of a FAT filesystem.
pub fn fat(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    let named = |at: usize| head.get(at..at + 3) == Some(b"FAT");
    if !(named(54) || named(82)) || head.get(510..512) != Some(&[0x55, 0xaa]) {
        return Ok(None);
    }
    let wrong = |error: std::io::Error| format!("its FAT filesystem cannot be read: {error}");
    let volume = fatfs::FileSystem::new(disk::ReadOnly(content.reader()), fatfs::FsOptions::new()).map_err(wrong)?;
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), volume.root_dir())];
    while let Some((path, folder)) = folders.pop() {
        for entry in folder.iter() {
            let entry = entry.map_err(wrong)?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            if entry.is_dir() {
                folders.push((path, entry.to_dir()));
                continue;
            }
            if entry.len() > LARGEST_FILE {
                return Err(format!("{path} has {} bytes, more than are looked into", entry.len()));
            }
            let mut bytes = Vec::new();
            entry.to_file().read_to_end(&mut bytes).map_err(wrong)?;
            files.push((path, Extents::from_bytes(bytes)));
        }
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    let loader = if head.get(3..11) == Some(b"SYSLINUX") {
        ", with syslinux"
    } else {
        ""
    };
    Ok(Some(Inside {
        what: format!(
            "{:?} filesystem {:?}{loader}",
            volume.fat_type(),
            volume.volume_label().trim()
        ),
        files,
        listed: true,
    }))
}

/// The files of a CD, and the partitions that it has as a disk.
pub fn iso(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if head.get(0x8001..0x8006) != Some(b"CD001") {
        return Ok(None);
    }
    if content.len() > LARGEST_CD {
        return Err(format!(
            "a CD of {} bytes is larger than are looked into",
            content.len()
        ));
    }
    let wrong = |error: &dyn std::fmt::Debug| format!("its ISO 9660 filesystem cannot be read: {error:?}");
    let bytes = content.to_vec().map_err(|error| wrong(&error))?;
    let volume = IsoFs::mount(bytes, MountOptions::new()).map_err(|error| wrong(&error.to_string()))?;
    let volume = Volume::new(volume);
    let mut files = Vec::new();
    let mut walk = volume.walk("/").map_err(|error| wrong(&error))?;
    while let Some(item) = walk.next_entry() {
        let item = item.map_err(|error| wrong(&error))?;
        if item.entry().metadata().file_type() != FileType::File {
            continue;
        }
        let path = item.path().to_vec();
        let bytes = volume.read(&path).map_err(|error| wrong(&error))?;
        let path = String::from_utf8_lossy(&path).trim_start_matches('/').to_owned();
        files.push((path, Extents::from_bytes(bytes)));
    }
    let label = String::from_utf8_lossy(head.get(0x8028..0x8048).unwrap_or_default())
        .trim()
        .to_owned();
    let mut what = format!("CD {label:?} of {} bytes", content.len());
    if let Some(partitions) = disk::partitions(head, content)? {
        what = format!("{what}; {}", partitions.what);
        // The first is the CD itself.
        files.extend(partitions.files.into_iter().skip(1));
    }
    Ok(Some(Inside {
        what,
        files,
        listed: true,
    }))
}
