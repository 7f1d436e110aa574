//! A disk assembled from the blocks of its image.

use extents::Extents;

use super::clusters::{self, Cluster, Compression};
use crate::inspect::Error;

/// Number of blocks that are read: tables of a corrupt file may point to the same tables again.
const MAX_BLOCKS: u64 = 4 << 20;

/// Disk under assembly.
pub struct Assembly<'a> {
    content: &'a Extents,
    format: &'static str,
    disk: Extents,
    compressed: Vec<Cluster>,
    blocks: u64,
}

impl<'a> Assembly<'a> {
    /// Returns a disk of `len` zeros; `format` names the disk image format in errors.
    pub fn new(content: &'a Extents, format: &'static str, len: u64) -> Assembly<'a> {
        Assembly {
            content,
            format,
            disk: Extents::zeros(len),
            compressed: Vec::new(),
            blocks: 0,
        }
    }

    fn count_block(&mut self) -> Result<(), Error> {
        self.blocks = self.blocks.saturating_add(1);
        if self.blocks > MAX_BLOCKS {
            return Err(Error::TooMany {
                format: self.format,
                items: "blocks",
                limit: MAX_BLOCKS,
            });
        }
        Ok(())
    }

    /// Places the `len` bytes at `from` of the file at `to` of the disk, cut at the disk's end.
    ///
    /// # Errors
    /// A block beyond the end of the file, and too many blocks.
    pub fn put(&mut self, to: u64, from: u64, len: u64) -> Result<(), Error> {
        self.count_block()?;
        let len = len.min(self.disk.len().saturating_sub(to));
        let block = self.content.part(from, len);
        if block.len() < len {
            return Err(Error::Truncated {
                format: self.format,
                found: format!("the block at byte {from} has {} of {len} bytes", block.len()),
            });
        }
        self.disk.put(to, &block);
        Ok(())
    }

    /// Places a compressed cluster. Clusters come in the order of the disk.
    ///
    /// # Errors
    /// Too many clusters.
    pub fn put_compressed(&mut self, cluster: Cluster) -> Result<(), Error> {
        self.count_block()?;
        if cluster.to < self.disk.len() {
            self.compressed.push(cluster);
        }
        Ok(())
    }

    /// Returns the disk.
    pub fn finish(self) -> Extents {
        self.disk
    }

    /// Returns the disk; compressed clusters expand to `cluster_len` bytes each.
    pub fn finish_compressed(mut self, cluster_len: u64, compression: Compression) -> Extents {
        clusters::put(&mut self.disk, self.content, cluster_len, compression, self.compressed);
        self.disk
    }
}
