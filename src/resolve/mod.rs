//! From references to what they name: packages that are built, boot loaders, firmware.

pub mod boot_files;
pub mod packages;
