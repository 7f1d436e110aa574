//! Outputs as extents: files whose bytes are known by where they come from, and not yet written.
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

use std::path::PathBuf;

use crate::arch::Arch;
use crate::codec::compress::Compression;
pub use boot_files::BootFiles;
pub use boot_loader::MAX_CMDLINE;
pub use drivers::Support;
pub use error::Error;
use formats::{Format, Layout, Root};
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
    /// Location of the root filesystem, in place of the format's.
    pub root: Option<Root>,
    /// Length of disks in bytes, in place of the least.
    pub size: Option<u64>,
    /// Seconds for which a boot menu waits.
    pub timeout: u32,
    /// Time of generated files, in seconds since 1970.
    pub time: i64,
    /// Directory for temporary files.
    pub temporary: PathBuf,
    /// Number of threads.
    pub jobs: usize,
}

impl Options {
    /// Name of a machine or an image within a file: the name of the build in letters that every
    /// format allows.
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

/// Checks the size of a format's disk against the least that it can have, in bytes.
///
/// # Errors
/// A size that is too small whatever is on the disk.
pub fn check_size(format: &Format, options: &Options) -> Result<(), TooSmall> {
    let (Layout::Disk(table, _), Some(size)) = (format.layout, options.size) else {
        return Ok(());
    };
    // Without a minimum the disk itself decides.
    let min = disk::min_len(table, format.disk_image.unit(), options.time).unwrap_or(0);
    if size < min {
        return Err(TooSmall {
            format: format.name,
            size,
            min,
        });
    }
    Ok(())
}

/// A size that no disk of a format can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--size is too small for {format}: {size} bytes, but it needs at least {min}")]
pub struct TooSmall {
    /// Name of the format.
    pub format: &'static str,
    /// Size in bytes.
    pub size: u64,
    /// Minimum size in bytes.
    pub min: u64,
}
