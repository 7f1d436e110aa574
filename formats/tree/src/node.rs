//! Inodes: metadata and content.

use std::collections::BTreeMap;
use std::sync::Arc;

use extents::Extents;

/// Time since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z; negative before it.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Time {
    /// Creates a time without a fraction of a second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Time {
            seconds,
            nanoseconds: 0,
        }
    }
}

/// Metadata of a node, apart from its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with set-uid, set-gid and sticky: at most `0o7777`.
    pub mode: u32,
    /// User ID of the owner.
    pub uid: u32,
    /// Group ID of the owner.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Time,
    /// Extended attributes by full name (`security.capability`, `user.x`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Records of a pax archive that no other format stores, shared by many nodes (the package
    /// that a file came from, for example).
    pub records: Option<Arc<BTreeMap<String, Vec<u8>>>>,
    /// Marks a directory that was not inserted itself, only created as the parent of another node.
    pub implied: bool,
    /// Number that the caller gives a node, such as an index into a table of the archives that nodes
    /// come from; 0 by default. No format stores it.
    pub source: u32,
}

impl Meta {
    /// Creates the metadata of a node that belongs to root.
    pub fn new(mode: u32, mtime: Time) -> Self {
        Meta {
            mode,
            mtime,
            ..Meta::default()
        }
    }
}

/// Type of a node, with its content.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory: entries by name.
    Directory(Arc<BTreeMap<Vec<u8>, Entry>>),
    /// A regular file.
    File(Extents),
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// Creates an empty directory.
    pub fn directory() -> Self {
        Kind::Directory(Arc::default())
    }

    /// Returns true for a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, Kind::Directory(_))
    }
}

/// Device number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Number of the driver.
    pub major: u32,
    /// Number of the device among those of the driver.
    pub minor: u32,
}

impl Device {
    /// Returns the number as Linux encodes it in 32 bits, 12 of them for the major number
    /// (include/linux/kdev_t.h, `new_encode_dev`).
    pub fn encoded(self) -> u32 {
        self.minor & 0xff | (self.major & 0xfff) << 8 | (self.minor & 0xf_ff00) << 12
    }

    /// Splits a number that [`Device::encoded`] returns.
    pub fn from_encoded(number: u32) -> Self {
        Device {
            major: number >> 8 & 0xfff,
            minor: number & 0xff | number >> 12 & 0xf_ff00,
        }
    }
}

/// Directory entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Node that the entry refers to.
    pub node: NodeId,
    /// Marks a name that was added as a hard link to another. A pax archive stores the content of
    /// a node with the name that is not marked.
    pub link: bool,
}

/// Identifier of a node within its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Root directory of every tree.
    pub const ROOT: NodeId = NodeId(0);

    /// Returns a number below [`Tree::capacity`](crate::Tree::capacity), for tables that run
    /// parallel to the tree.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Inode of a tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Mode, owner, time and extended attributes.
    pub meta: Meta,
    /// Type and content.
    pub kind: Kind,
    pub(crate) nlink: u32,
}

impl Node {
    /// Returns the number of names that refer to the node; always 1 for a directory.
    pub fn nlink(&self) -> u32 {
        self.nlink
    }
}
