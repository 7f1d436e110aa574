//! FAT, read by the crate `fatfs`, and ISO 9660, read by `hadris-iso`.

use std::io::Read;

use extents::Extents;
use hadris_fs::sync::Volume;
use hadris_fs::{FileType, MountOptions};
use hadris_iso::sync::IsoFs;

use super::{Inside, disk};

/// The largest CD that is looked into, in bytes: its reader wants it in memory.
const LARGEST_CD: u64 = 2 << 30;
/// How deep folders may be nested, and how many names there may be: in a damaged filesystem they
/// may lead to each other.
const DEEPEST: usize = 64;
const MOST_NAMES: usize = 100_000;

/// How much of a filesystem's files was read into memory, and how much may be.
struct Budget {
    left: u64,
}

impl Budget {
    /// Files may share their bytes, but not without end.
    fn of(content: &Extents) -> Self {
        Budget {
            left: content.len().saturating_mul(4).saturating_add(64 << 20),
        }
    }

    fn take(&mut self, path: &str, len: u64) -> Result<(), String> {
        let left = self.left.checked_sub(len);
        self.left = left.ok_or_else(|| format!("its files are longer than itself, {path} among them"))?;
        Ok(())
    }
}

/// The files of a FAT filesystem.
pub fn fat(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    let named = |at: usize| head.get(at..at + 3) == Some(b"FAT");
    if !(named(54) || named(82)) || head.get(510..512) != Some(&[0x55, 0xaa]) {
        return Ok(None);
    }
    let wrong = |error: std::io::Error| format!("its FAT filesystem cannot be read: {error}");
    let volume = fatfs::FileSystem::new(disk::ReadOnly(content.reader()), fatfs::FsOptions::new()).map_err(wrong)?;
    let mut files = Vec::new();
    let (mut budget, mut names) = (Budget::of(content), 0);
    let mut folders = vec![(String::new(), volume.root_dir())];
    while let Some((path, folder)) = folders.pop() {
        if path.matches('/').count() > DEEPEST {
            return Err(format!("its folders are nested more than {DEEPEST} deep"));
        }
        for entry in folder.iter() {
            let entry = entry.map_err(wrong)?;
            names += 1;
            if names > MOST_NAMES {
                return Err(format!("it has more than {MOST_NAMES} names"));
            }
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
            budget.take(&path, entry.len())?;
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
    let (mut budget, mut names) = (Budget::of(content), 0);
    let mut walk = volume.walk("/").map_err(|error| wrong(&error))?;
    while let Some(item) = walk.next_entry() {
        let item = item.map_err(|error| wrong(&error))?;
        names += 1;
        if names > MOST_NAMES {
            return Err(format!("it has more than {MOST_NAMES} names"));
        }
        if item.entry().metadata().file_type() != FileType::File {
            continue;
        }
        let path = item.path().to_vec();
        budget.take(&tree::brief(&path), item.entry().metadata().len())?;
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
