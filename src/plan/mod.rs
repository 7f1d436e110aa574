//! Plans outputs as extents: where each byte comes from, before anything is written.
//!
//! ```text
//! System ──▶ initrd or image of the root filesystem ──▶ kernel, initrd, cmdline
//!        ──▶ boot volume ──▶ partitions ──▶ disk ──▶ disk image format
//! ```
//!
//! Planning depends on its arguments alone: not on a clock, and not on the environment.

pub mod boot_files;
mod boot_loader;
mod container_image;
mod disk;
mod disk_image;
mod drivers;
mod error;
mod files;
pub mod formats;
mod iso;
mod kernel_initrd;
mod partitions;
mod planner;
mod raspberry_pi;
mod root_filesystem;
mod verity;

use std::path::PathBuf;
use std::sync::Arc;

use crate::arch::Arch;
use crate::codec::compress::Compression;
use crate::diagnostic::size as show;
use crate::pieces::PieceCache;
pub use boot_files::BootFiles;
pub use boot_loader::MAX_CMDLINE;
pub use container_image::NamedImage;
pub use drivers::Support;
pub use error::Error;
use formats::{Format, Layout, Root, Table};
pub use planner::{File, Planner};
pub use root_filesystem::check as check_compression;

/// Options of the outputs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the build.
    pub name: String,
    /// Architecture.
    pub arch: Arch,
    /// Compression of initrds, squashfs and EROFS; each has a default of its own.
    pub compression: Option<Compression>,
    /// Compression of disk images.
    pub disk_compression: Option<Compression>,
    /// Location of the root filesystem; `None` for that of the format.
    pub root: Option<Root>,
    /// True if dm-verity verifies the root filesystem, for formats that mount it.
    pub verity: bool,
    /// Length of disks in bytes; `None` for the minimum.
    pub size: Option<u64>,
    /// Seconds for which a boot menu waits.
    pub timeout: u32,
    /// Time of generated files, in seconds since 1970.
    pub time: i64,
    /// Directory for temporary files.
    pub temp_dir: PathBuf,
    /// Compressed pieces of earlier builds.
    pub pieces: Arc<PieceCache>,
    /// Number of threads.
    pub jobs: usize,
}

impl Options {
    /// Returns the name of a machine or an image within a file: the name of the build in letters that
    /// every format allows.
    fn name_within(&self) -> String {
        let allowed = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        };
        let name: String = self.name.chars().take(64).map(allowed).collect();
        match name.trim_matches(['.', '_', '-']) {
            "" => "moby".into(),
            name => name.into(),
        }
    }
}

/// Checks `--size` against the limits of a format's disk.
///
/// # Errors
/// A size that is too small or too large whatever is on the disk.
pub fn check_size(format: &Format, options: &Options) -> Result<(), WrongSize> {
    let Some(size) = options.size.filter(|_| format.is_disk()) else {
        return Ok(());
    };
    let table_max = match format.layout {
        Layout::Disk(Table::Gpt, _) => None,
        _ => Some(disk::MAX_MBR_LEN),
    };
    let compressed = options.disk_compression.filter(|_| format.takes_disk_compression());
    let compressed_max = compressed.map(|_| formats::MAX_COMPRESSED);
    let limits = [table_max, format.disk_image.max_len(), compressed_max];
    if let Some(max) = limits.into_iter().flatten().min().filter(|max| size > *max) {
        return Err(WrongSize::TooLarge {
            format: format.name,
            size,
            max,
        });
    }
    let Layout::Disk(table, _) = format.layout else {
        return Ok(());
    };
    // Without a minimum the disk itself decides.
    let min = disk::min_len(table, format.disk_image.unit(), options.time).unwrap_or(0);
    if size < min {
        return Err(WrongSize::TooSmall {
            format: format.name,
            size,
            min,
        });
    }
    Ok(())
}

/// A size that no disk of a format can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongSize {
    /// A disk that has no space for a filesystem.
    #[error("--size is too small for {format}: {}, but it needs at least {}", show(*size), show(*min))]
    TooSmall {
        /// Name of the format.
        format: &'static str,
        /// Size in bytes.
        size: u64,
        /// Minimum size in bytes.
        min: u64,
    },
    /// A disk beyond the limit of the disk image format or the partition table.
    #[error("--size is too large for {format}: {}, but it takes at most {}", show(*size), exact(*max))]
    TooLarge {
        /// Name of the format.
        format: &'static str,
        /// Size in bytes.
        size: u64,
        /// Maximum size in bytes.
        max: u64,
    },
}

/// Returns a limit as people read it, without rounding: the next attempt may use it.
fn exact(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB")];
    match units.iter().find(|(unit, _)| bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{} ({bytes} bytes)", show(bytes)),
    }
}

impl WrongSize {
    /// Returns the remedy.
    pub fn help(&self) -> &'static str {
        match self {
            WrongSize::TooSmall { .. } => "omit --size to get the smallest possible disk",
            WrongSize::TooLarge { .. } => "give a smaller --size, or choose another format",
        }
    }
}
