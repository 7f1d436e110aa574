//! qcow2 disk images, version 3 (QEMU, docs/interop/qcow2.txt). Numbers are big-endian.
//!
//! ```text
//! cluster 0   header
//!         1   refcount table → refcount blocks   how often each cluster is used
//!             L1 table → L2 tables               where the clusters of the disk stand
//!             clusters of the disk               those that are not all zeros
//!             compressed clusters                one after another, without gaps
//! ```

mod compressed;
mod tables;

use std::io;
use std::path::PathBuf;

use extents::Extents;

pub use compressed::{Compressor, Options, compressed};
use tables::{COPIED, Map, assemble};

/// The length of a cluster in bytes, as 2 to this power.
const CLUSTER_BITS: u32 = 16;
/// The length of a cluster in bytes.
pub const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of an L1, L2 or refcount table: 64 bits each.
const ENTRIES: u64 = CLUSTER / 8;
/// The most bytes of a disk: its L1 table may have 32 MiB in QEMU (block/qcow2.h, QCOW_MAX_L1_SIZE).
const LARGEST: u64 = (32 << 20) / 8 * ENTRIES * CLUSTER;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk has more bytes than QEMU accepts.
    #[error("a disk of {size} bytes is too large for qcow2 with clusters of 64 KiB: {LARGEST} at most")]
    TooLarge {
        /// Its length in bytes.
        size: u64,
    },
    /// A level that the compressor does not have.
    #[error("{} has levels from {} to {}, not {level}", compressor.name(), compressor.levels().start(), compressor.levels().end())]
    Level {
        /// The compressor.
        compressor: Compressor,
        /// The level asked for.
        level: u32,
    },
    /// The disk could not be read.
    #[error("cannot read the disk at {offset}: {source}")]
    Read {
        /// Where, in bytes.
        offset: u64,
        /// What reading failed with.
        source: io::Error,
    },
    /// The file of compressed clusters could not be made or written.
    #[error("cannot keep compressed clusters in {}: {source}", folder.display())]
    Spill {
        /// The folder that it is in.
        folder: PathBuf,
        /// What writing failed with.
        source: io::Error,
    },
}

/// The length of a disk in bytes: whole sectors.
fn size(disk: &Extents) -> Result<u64, Error> {
    let size = disk.len().next_multiple_of(512);
    match size <= LARGEST {
        true => Ok(size),
        false => Err(Error::TooLarge { size }),
    }
}

/// Plans an image of a disk. Clusters in which nothing stands take no room.
///
/// # Errors
/// A disk that is too large.
pub fn plan(disk: &Extents) -> Result<Extents, Error> {
    let size = size(disk)?;
    let mut map = Map::default();
    let mut plain = Extents::new();
    for range in disk.occupied(CLUSTER) {
        for (cluster, at) in range.clone().zip((plain.len()..).step_by(CLUSTER as usize)) {
            map.set(cluster, at | COPIED);
        }
        let len = range.end - range.start;
        plain.push(&disk.part(range.start * CLUSTER, len * CLUSTER));
        plain.align_to(CLUSTER);
    }
    Ok(assemble(size, map, &plain, &Extents::new(), &[], 0))
}
