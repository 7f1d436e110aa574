//! Options of the filesystem.

use tree::Time;
use uuid::Uuid;

/// Journal of a filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Journal {
    /// No journal, which suits a filesystem that is read-only or temporary.
    #[default]
    None,
    /// Journal of 4 MiB to 128 MiB, depending on the size of the filesystem.
    Auto,
    /// Journal of this length in bytes, rounded up to blocks.
    Size(u64),
}

/// Options of [`plan`](crate::plan). Start with the default and assign fields.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Label of the volume: at most 16 bytes; `None` if empty.
    pub label: String,
    /// UUID of the volume; by default derived from names, lengths, attributes and times.
    pub uuid: Option<Uuid>,
    /// Time of creation. Files have their own times.
    pub time: Time,
    /// Length in bytes, rounded down to blocks, and to groups if the rest would be too small for
    /// one; by default the smallest that suffices.
    pub size: Option<u64>,
    /// Free space for more files in bytes, with an inode for every 16 KiB.
    pub free: u64,
    /// Bytes per inode in each group (of 128 MiB), at least 4096. The ratio also holds for groups
    /// that are added when the filesystem is grown. The default is 16 KiB if [`Options::size`] is
    /// set; otherwise there are as many inodes as files, too few for a filesystem that will grow.
    pub bytes_per_inode: Option<u64>,
    /// The journal.
    pub journal: Journal,
    /// Leaves out features that boot loaders cannot read (64-bit block numbers, checksums), of
    /// which extlinux 6.04 is the strictest.
    pub boot: bool,
    /// Paths of files and directories that are marked immutable. Such a file has no holes, since
    /// boot loaders read its sectors directly ([`Image::file_extents`](crate::Image::file_extents)).
    pub immutable: Vec<Vec<u8>>,
}
