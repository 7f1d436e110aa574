//! Installation of the boot loaders syslinux, on a FAT filesystem, and extlinux, on ext2, ext3 and
//! ext4, as functions over extents: no mounted filesystem, no root.
//!
//! The fields are those of libinstaller/syslxint.h, syslxmod.c, setadv.c and of
//! core/diskstart.inc of syslinux 6.04, cited by file.
//!
//! ```text
//! sector 0 of the partition   boot sector: jump | the filesystem's BPB | code
//!                                            │ sector number of
//! ldlinux.sys                 ▼
//!   0      first sector: code, patch area ──────── extended patch area
//!   1..n   remaining sectors, listed in the extended patch area
//!   n..    auxiliary data vector (ADV), twice: settings that survive a reboot
//! ```
//!
//! The loader finds itself by sector numbers, so its file must never move. `ldlinux.c32` of its
//! version must be in its directory.

mod adv;
mod error;
mod ldlinux;
mod patch;
mod program;

pub use error::Error;
/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;
pub use ldlinux::{Ldlinux, Run};
pub use program::from_program;

/// Length of a sector in bytes.
pub const SECTOR: usize = 512;

/// Length of `altmbr.bin` in bytes, without the number of the partition.
const ALTMBR_LEN: usize = 439;

/// Returns boot code for an MBR that boots the partition of a fixed number rather than the active
/// one: `altmbr.bin` followed by the number (mbr/altmbr.S).
///
/// # Errors
/// `code` does not have 439 bytes.
pub fn altmbr(code: &[u8], partition: u8) -> Result<Vec<u8>, Error> {
    if code.len() != ALTMBR_LEN {
        return Err(Error::Length {
            part: "altmbr.bin",
            expected: ALTMBR_LEN,
            len: code.len(),
        });
    }
    Ok([code, &[partition]].concat())
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
