//! Files found in a container format: a filesystem, an archive, a disk.

use std::collections::BTreeMap;

use extents::Extents;
use tree::Device;

/// Top-level directories whose files boot a machine or make up an OCI image.
const BOOT_DIRECTORIES: [&str; 6] = ["boot", "efi", "isolinux", "syslinux", "extlinux", "blobs"];

/// Entry of a filesystem, an archive or a disk.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path relative to the container; components are separated by `/`.
    pub path: String,
    /// Type and content.
    pub node: Node,
    /// Metadata, as far as the format stores it and its reader returns it.
    pub metadata: Metadata,
}

impl Entry {
    /// Returns a regular file without metadata.
    pub fn file(path: impl Into<String>, content: Extents) -> Entry {
        Entry {
            path: path.into(),
            node: Node::File(content),
            metadata: Metadata::default(),
        }
    }

    /// Returns the content of a regular file.
    pub fn content(&self) -> Option<&Extents> {
        match &self.node {
            Node::File(content) => Some(content),
            _ => None,
        }
    }
}

/// Type of an entry, with its content.
#[derive(Clone, Debug)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(Extents),
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A character device, with its number if the reader returns it.
    CharDevice(Option<Device>),
    /// A block device, with its number if the reader returns it.
    BlockDevice(Option<Device>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Node {
    /// Returns the node of a mode's type bits (inode(7)) that has no content; `device` is the packed number
    /// of a device.
    pub fn special(mode: u32, device: Option<Device>) -> Node {
        match mode & 0o170_000 {
            0o020_000 => Node::CharDevice(device),
            0o060_000 => Node::BlockDevice(device),
            0o010_000 => Node::Fifo,
            0o040_000 => Node::Directory,
            _ => Node::Socket,
        }
    }
}

/// Metadata of an entry. What the format does not store, or its reader does not return, is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with set-uid, set-gid and sticky: at most `0o7777`.
    pub mode: Option<u32>,
    /// User ID and group ID of the owner.
    pub owner: Option<(u32, u32)>,
    /// Time of last modification, in seconds since 1970.
    pub mtime: Option<i64>,
    /// Extended attributes by full name.
    pub xattrs: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// Description and files of a container format.
pub struct Contents {
    /// Name of the format: `ext4 filesystem`.
    pub format: &'static str,
    /// One line, for example `ext4 filesystem "root", 1.00 GiB`.
    pub summary: String,
    /// Further lines, for example one for each partition.
    pub details: Vec<String>,
    /// Entries, with paths relative to the container.
    pub entries: Vec<Entry>,
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
