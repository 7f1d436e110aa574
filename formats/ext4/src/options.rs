//! What the caller decides.

use tree::Time;

/// Whether there is a journal, and how large it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Journal {
    /// None: what is right for a filesystem that is only read, or thrown away.
    #[default]
    None,
    /// One of 4 MiB to 128 MiB, by the size of the filesystem.
    Auto,
    /// One of so many bytes, made whole blocks.
    Size(u64),
}

/// What a filesystem is to have besides the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The volume's name: at most 16 bytes; none when empty.
    pub label: String,
    /// The identifier of the volume, its text form read as one number; otherwise derived from
    /// names, lengths, attributes and times.
    pub uuid: Option<u128>,
    /// When the volume was made. The files have their own times.
    pub time: Time,
    /// The length in bytes, cut to whole blocks, and to whole groups where the rest would be too
    /// small for one; otherwise as short as can be.
    pub size: Option<u64>,
    /// How many bytes are to be free for more files. An inode comes with each 16 KiB of them.
    pub free: u64,
    /// How many bytes of each group (of 128 MiB) there is to be an inode for, 4096 at least. It
    /// holds for the groups that come when the filesystem is grown, too. Otherwise 16 KiB when
    /// [`Options::size`] is given; and else there are as many inodes as files, which is not what
    /// a filesystem should have that is to grow.
    pub bytes_per_inode: Option<u64>,
    /// The journal.
    pub journal: Journal,
    /// Whether boot loaders read it, of which extlinux 6.04 is the strictest: without features
    /// that such readers do not know (64-bit block numbers, checksums).
    pub boot: bool,
    /// Paths of files and folders that are marked immutable. Such a file has no holes: it is
    /// there for programs that look for its sectors ([`crate::Image::runs_of`]).
    pub immutable: Vec<Vec<u8>>,
}
