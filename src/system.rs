//! The assembled system: what is booted, and its root filesystem.

use disk::PartitionType;
use extents::Extents;
use tree::{Meta, Tree};

use crate::config::Mount;

/// A system.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Kernel, if the YAML names one.
    pub kernel: Option<Extents>,
    /// Kernel command line as the YAML has it.
    pub cmdline: String,
    /// Uncompressed cpio archive with microcode.
    pub microcode: Option<Extents>,
    /// Root filesystem, with nothing in `/boot`.
    pub root: Tree,
    /// Root filesystem with kernel, command line and microcode in `/boot`, as LinuxKit's tar has
    /// it.
    pub complete: Tree,
    /// Containers in the order of their directories.
    pub containers: Vec<Container>,
    /// Content of `/etc/os-release`.
    pub os_release: Option<String>,
    /// Partitions that the YAML adds to disks, or changes.
    pub partitions: Vec<Partition>,
    /// Sources of the nodes: [`tree::Meta::source`] is an index, plus one.
    pub sources: Vec<Source>,
}

impl System {
    /// Returns the source of a node. None for the root directory and what moby itself adds.
    pub fn source(&self, meta: &Meta) -> Option<&Source> {
        self.sources.get((meta.source as usize).checked_sub(1)?)
    }
}

/// Source of nodes: a section of the YAML, and a layer of the image that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path of the section: `kernel`, `init[0]`, `files[2]`.
    pub field: String,
    /// Canonical name of the image. None for what the YAML itself describes.
    pub image: Option<String>,
    /// Index of the layer in the image, the lowest being 0. None for entries that moby adds to the image
    /// or generates from it.
    pub layer: Option<usize>,
}

/// A container of a system.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// Directory with its OCI runtime configuration, below the root.
    pub directory: String,
    /// Directory that is its root filesystem if that is read-only; another container's if both have
    /// one image.
    pub read_only_root: Option<String>,
    /// Mounts of its OCI runtime configuration.
    pub mounts: Vec<Mount>,
}

/// A partition that the YAML adds to disks, or changes.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// Label of the partition and of its filesystem.
    pub label: String,
    /// True for changes to a partition of the format; formats without that partition ignore them.
    pub changes_format: bool,
    /// Type, in place of the usual one.
    pub kind: Option<PartitionType>,
    /// Minimum size in bytes.
    pub min_size: u64,
    /// True if it takes the space that the disk has left.
    pub grow: bool,
    /// Filesystem; none for an empty partition.
    pub content: Option<Filesystem>,
}

/// Filesystem of a partition, with its files.
#[derive(Clone, Debug)]
pub enum Filesystem {
    /// ext4 with a journal.
    Ext4(Tree),
    /// FAT.
    Fat(Tree),
    /// squashfs.
    Squashfs(Tree),
    /// EROFS.
    Erofs(Tree),
}

impl Filesystem {
    /// Returns the files.
    pub fn tree(&self) -> &Tree {
        match self {
            Filesystem::Ext4(tree) | Filesystem::Fat(tree) | Filesystem::Squashfs(tree) | Filesystem::Erofs(tree) => {
                tree
            }
        }
    }
}
