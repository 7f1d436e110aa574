//! Inspection of bootable files: partitions, filesystems, kernels, initrds.
//!
//! ```text
//! compressed file, disk image, tar archive ─▶ disk ─▶ partition ┐
//!                                        ISO image ────────────┤
//!         FAT, ext4, squashfs, EROFS ─▶ unified kernel image ─▶ initrd ─▶ file
//! ```
//!
//! Filesystems and programs are read by crates that had no part in writing them. Nothing in the
//! file is trusted: panics of those crates become errors, and time and memory are limited.

mod budget;
mod compressed;
mod contents;
mod disk_image;
mod error;
mod filesystem;
mod guard;
mod initrd;
mod lazy;
mod partitions;
pub mod path;
mod source;
mod summary;
mod tar;
mod uki;
mod verity;
mod walk;

pub use contents::{Entry, Metadata, Node};
pub use error::{EntryError, Error};
pub use walk::{Limits, Line, Report, Volume, inspect};
