//! syslinux on a FAT filesystem and extlinux on ext2, ext3 and ext4: what the programs of these
//! names do when they install, as functions over extents.
//!
//! The fields are those of libinstaller/syslxint.h, syslxmod.c, setadv.c and of
//! core/diskstart.inc of syslinux 6.04, cited by file.
//!
//! ```text
//! sector 0 of the partition   boot sector: jump | the filesystem's BPB | code
//!                                            │ sector number of
//! ldlinux.sys                 ▼
//!   0      first sector: code, patch area ──────── extended patch area
//!   1..n   the rest, found by the list of sectors there
//!   n..    auxiliary data vector (ADV), twice: settings that last over a boot
//! ```
//!
//! The loader finds itself by sector numbers, so its file must never move. `ldlinux.c32` of the
//! same version must stand in the same folder.

mod adv;
mod error;
mod ldlinux;
mod patch;
mod program;

pub use error::Error;
pub use ldlinux::{Ldlinux, Run};
pub use program::from_program;

/// The length of a sector in bytes.
pub const SECTOR: usize = 512;

/// The boot code of a master boot record that starts a partition of a fixed number in place of
/// the active one: `altmbr.bin` with the number behind it (mbr/altmbr.S).
///
/// # Errors
/// Code that is not 439 bytes long.
pub fn altmbr(code: &[u8], partition: u8) -> Result<Vec<u8>, Error> {
    match code.len() {
        439 => Ok([code, &[partition]].concat()),
        len => Err(Error::Length {
            what: "altmbr.bin",
            wanted: 439,
            len,
        }),
    }
}
