//! qcow2 disk images, version 3 (QEMU, docs/interop/qcow2.txt), plain or compressed. Numbers are
//! big-endian.
//!
//! ```text
//! cluster 0   header
//!         1   refcount table → refcount blocks   number of uses of each cluster
//!             L1 table → L2 tables               offsets of the disk's clusters
//!             clusters of the disk               those that are not all zeros
//!             compressed clusters                one after another, without gaps
//! ```
//!
//! Section names in these docs are those of the specification.

mod compressed;
mod error;
mod options;
mod plain;
mod tables;

/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;

pub use error::Error;
pub use options::{Compressor, Options};

/// Length of a cluster, as a power of two in bytes.
const CLUSTER_BITS: u32 = 16;
/// Length of a cluster in bytes.
pub const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Number of entries of an L1, L2 or refcount table in a cluster: 64 bits each.
const ENTRIES: u64 = CLUSTER / 8;
/// Maximum length of a disk in bytes: QEMU limits its L1 table to 32 MiB (block/qcow2.h,
/// `QCOW_MAX_L1_SIZE`).
pub const MAX_DISK_LEN: u64 = (32 << 20) / 8 * ENTRIES * CLUSTER;
/// Length of a disk's sector in bytes.
const SECTOR: u64 = 512;

/// Plans an image of `disk`, whose length is rounded up to whole sectors. Clusters without
/// content take no space.
///
/// With a compressor the clusters are compressed now, by several threads, into a temporary file
/// without a name that lives as long as the result. The number of threads does not change the image.
///
/// # Errors
/// A disk longer than [`MAX_DISK_LEN`], or a level that the compressor does not have. With a
/// compressor, also a disk that cannot be read or a temporary file that cannot be written.
pub fn plan(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let size = disk.len().checked_next_multiple_of(SECTOR).unwrap_or(u64::MAX);
    if size > MAX_DISK_LEN {
        return Err(Error::TooLarge { len: size });
    }
    match options.compressor {
        None => Ok(plain::plan(disk, size)),
        Some(compressor) => compressed::plan(disk, size, compressor, options),
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
