//! VMDK disk images of one sparse file (VMware, "Virtual Disk Format 5.0"): `monolithicSparse`, and
//! `streamOptimized`, which is compressed. Numbers are little-endian and count sectors of 512 bytes.
//!
//! ```text
//! monolithicSparse                                    streamOptimized
//! 0    header                                         0    header
//! 1    descriptor, a text of 20 sectors               1    descriptor, a text of 20 sectors
//! 21   grain directory → grain tables, and a copy     128  marker, compressed grain; ...
//!      grains of 64 KiB that are not all zeros             marker, table of up to 512 grains; ...
//!                                                          marker, grain directory
//!                                                          marker, header again; end marker
//! ```

mod descriptor;
mod error;
mod header;
mod sparse;
mod stream;

use std::path::PathBuf;

/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;

pub use error::Error;

/// Length of a sector in bytes.
const SECTOR: u64 = 512;
/// Length of a grain in sectors.
const GRAIN_SECTORS: u64 = 128;
/// Length of a grain in bytes.
pub const GRAIN: u64 = GRAIN_SECTORS * SECTOR;
/// Number of entries of a grain table, of 4 bytes each.
const TABLE_ENTRIES: u64 = 512;
/// Length of a grain table in sectors.
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR;
/// Maximum length of a disk in bytes: sectors of the image are numbered with 32 bits.
pub const MAX_DISK_LEN: u64 = (u32::MAX as u64) * SECTOR / 2;

/// Kind of an image (`createType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `monolithicSparse`: grains as they are.
    #[default]
    Sparse,
    /// `streamOptimized`: compressed grains, for transport and for appliances.
    Stream,
}

/// Options of an image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Kind of the image.
    pub kind: Kind,
    /// Identifier of the content (`CID`).
    pub content_id: u32,
    /// Name of the image's file, which its descriptor repeats.
    pub file_name: String,
    /// Number of threads that compress.
    pub jobs: usize,
    /// Directory of the temporary file with compressed grains.
    pub temp_dir: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            kind: Kind::default(),
            content_id: 0,
            file_name: "disk.vmdk".to_owned(),
            jobs: 1,
            temp_dir: std::env::temp_dir(),
        }
    }
}

/// Plans an image of `disk`, whose length is rounded up to whole grains. Grains without content
/// take no space.
///
/// The grains of a [`Kind::Stream`] are compressed now, by several threads, into a temporary file
/// without a name that lives as long as the result. The number of threads does not change the image.
///
/// # Errors
/// A disk longer than [`MAX_DISK_LEN`]. With [`Kind::Stream`], also a disk that cannot be read, or
/// a temporary file that cannot be written.
pub fn plan(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let size = disk.len().checked_next_multiple_of(GRAIN).unwrap_or(u64::MAX);
    if size > MAX_DISK_LEN {
        return Err(Error::TooLarge { len: size });
    }
    match options.kind {
        Kind::Sparse => Ok(sparse::plan(disk, size / SECTOR, options)),
        Kind::Stream => stream::plan(disk, size / SECTOR, options),
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
