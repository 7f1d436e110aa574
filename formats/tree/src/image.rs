//! Filesystem images, the result of every filesystem writer.

use extents::Extents;
use uuid::Uuid;

use crate::node::NodeId;

/// Contiguous part of a file within an image. All numbers are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileExtent {
    /// Offset in the file.
    pub logical: u64,
    /// Offset in the image.
    pub physical: u64,
    /// Length, at most up to the end of the file.
    pub len: u64,
}

/// Filesystem image planned from a tree.
#[derive(Clone, Debug)]
pub struct Image {
    extents: Extents,
    uuid: Option<Uuid>,
    /// Sorted by node, then by logical offset.
    files: Vec<(NodeId, FileExtent)>,
}

impl Image {
    /// Wraps the bytes of a filesystem; `files` are the extents of its files, in any order.
    pub fn new(extents: Extents, uuid: Option<Uuid>, mut files: Vec<(NodeId, FileExtent)>) -> Self {
        files.sort_unstable();
        files.shrink_to_fit();
        Image { extents, uuid, files }
    }

    /// Returns the bytes of the filesystem.
    pub fn extents(&self) -> &Extents {
        &self.extents
    }

    /// Returns the bytes of the filesystem and drops the rest.
    pub fn into_extents(self) -> Extents {
        self.extents
    }

    /// Returns the UUID of the volume, if the format has one.
    pub fn uuid(&self) -> Option<Uuid> {
        self.uuid
    }

    /// Iterates over the extents of a file, in order of logical offset. Holes have none, and
    /// neither has a file that the format stores compressed.
    pub fn file_extents(&self, node: NodeId) -> impl ExactSizeIterator<Item = FileExtent> {
        let start = self.files.partition_point(|(other, _)| *other < node);
        let end = self.files.partition_point(|(other, _)| *other <= node);
        let extents = self.files.get(start..end).unwrap_or_default();
        extents.iter().map(|(_, extent)| *extent)
    }
}
