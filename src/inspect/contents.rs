//! Files found in a container format: a filesystem, an archive, a disk.

use extents::Extents;

/// Top-level directories whose files boot a machine or make up an OCI image.
const BOOT_DIRECTORIES: [&str; 6] = ["boot", "efi", "isolinux", "syslinux", "extlinux", "blobs"];

/// Description and files of a container format.
pub struct Contents {
    /// One line, for example `ext4 filesystem "root", 1.00 GiB`.
    pub summary: String,
    /// Further lines, for example one for each partition.
    pub details: Vec<String>,
    /// Files by path, relative to the container.
    pub files: Vec<(String, Extents)>,
    /// Files to inspect in turn.
    pub descend: Descend,
}

/// Choice of the files to inspect in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// Every file: partitions, sections, boot filesystems.
    All,
    /// Files at the top and in [`BOOT_DIRECTORIES`]: root filesystems, archives.
    Boot,
    /// No file: initrds.
    Nothing,
}

impl Descend {
    /// Returns whether to inspect the file at `path`.
    pub fn includes(self, path: &str) -> bool {
        match self {
            Descend::All => true,
            Descend::Nothing => false,
            Descend::Boot => path
                .split_once('/')
                .is_none_or(|(directory, _)| BOOT_DIRECTORIES.contains(&directory.to_lowercase().as_str())),
        }
    }
}

/// Maximum length of a text that is parsed or shown, in bytes.
const MAX_TEXT: u64 = 4 << 20;

/// Returns `content` as text, unless it is longer than 4 MiB or unreadable.
pub fn text(content: &Extents) -> Option<String> {
    if content.len() > MAX_TEXT {
        return None;
    }
    let bytes = content.to_vec().ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
