//! Errors of planning.

use std::io;
use std::path::PathBuf;

use super::boot_files::Loader;
use crate::codec::compress::Compression;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::kernel;

/// Reason why an output cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Content that an initrd cannot store.
    #[error("cannot build the initrd: {0}")]
    Cpio(#[from] cpio::Error),
    /// Content that a tar cannot store.
    #[error("cannot build the tar: {0}")]
    Pax(#[from] pax::Error),
    /// Content that FAT cannot store.
    #[error(transparent)]
    Fat(#[from] fat::Error),
    /// Content that ISO 9660 cannot store.
    #[error(transparent)]
    Iso(#[from] iso9660::Error),
    /// Partitions that do not fit the disk.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// A boot loader that cannot be installed.
    #[error(transparent)]
    Syslinux(#[from] syslinux::Error),
    /// Content that squashfs cannot store.
    #[error(transparent)]
    Squashfs(#[from] squashfs::Error),
    /// Content that EROFS cannot store.
    #[error(transparent)]
    Erofs(#[from] erofs::Error),
    /// Content that ext4 cannot store.
    #[error(transparent)]
    Ext4(#[from] ext4::Error),
    /// A root filesystem whose hash tree cannot be computed.
    #[error("cannot compute the hash tree of the root filesystem: {0}")]
    Verity(#[from] ::verity::Error),
    /// Parts that a unified kernel image cannot hold.
    #[error(transparent)]
    Uki(#[from] uki::Error),
    /// A disk that qcow2 cannot store.
    #[error(transparent)]
    Qcow2(#[from] qcow2::Error),
    /// A disk that VHD cannot store.
    #[error(transparent)]
    Vhd(#[from] vhd::Error),
    /// A disk that VMDK cannot store.
    #[error(transparent)]
    Vmdk(#[from] vmdk::Error),
    /// A disk that VDI cannot store.
    #[error(transparent)]
    Vdi(#[from] vdi::Error),
    /// A disk that VHDX cannot store.
    #[error(transparent)]
    Vhdx(#[from] vhdx::Error),
    /// A disk that an appliance cannot hold.
    #[error(transparent)]
    Ova(#[from] ova::Error),
    /// A path that a tree cannot have.
    #[error("cannot add {path}: {source}")]
    Tree {
        /// Path.
        path: String,
        /// Reason.
        source: tree::Error,
    },
    /// Squashfs without compression.
    #[error("moby cannot write uncompressed squashfs (`--compress none`)")]
    UncompressedSquashfs,
    /// A compression that EROFS does not have.
    #[error("EROFS does not support the compression {0}")]
    ErofsCompression(Compression),
    /// A kernel without a driver that the root filesystem needs.
    #[error(
        "the kernel cannot mount the root filesystem: it has {driver} neither built in nor as a module ({source_of_list})"
    )]
    Driver {
        /// Name of the driver's module.
        driver: &'static str,
        /// List in which it is missing.
        source_of_list: String,
    },
    /// Kernel modules that cannot be indexed.
    #[error("cannot index the kernel's modules: {0}")]
    Modules(String),
    /// A boot loader whose image was not found.
    #[error("{0}")]
    MissingLoader(Box<Diagnostics>),
    /// A boot loader that was not looked for.
    #[error("internal error: boot loader {0:?} was not resolved")]
    UnresolvedLoader(Loader),
    /// A file that the image of a boot loader lacks.
    #[error("the image of the boot loader has no file {0}")]
    LoaderFile(String),
    /// An image of a Raspberry Pi's firmware without firmware.
    #[error("the image of the firmware has no files in {0}")]
    Firmware(&'static str),
    /// A YAML without a kernel.
    #[error("there is no kernel to boot")]
    NoKernel,
    /// A kernel that the format cannot use.
    #[error("cannot use the kernel: {0}")]
    Kernel(#[from] kernel::Error),
    /// A kernel without device trees for a Raspberry Pi.
    #[error("the kernel has no device trees for a Raspberry Pi in {0}")]
    DeviceTrees(&'static str),
    /// A command line that is longer than syslinux passes on.
    #[error("the kernel command line has {len} bytes, but syslinux passes on at most 2047")]
    Cmdline {
        /// Length in bytes.
        len: usize,
    },
    /// Content that cannot be read.
    #[error("cannot read the content of the output: {0}")]
    Read(#[from] io::Error),
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Path.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
}

impl Error {
    /// Returns the remedy.
    fn help(&self) -> Option<&'static str> {
        match self {
            Error::Fat(error) => return error.help(),
            Error::Iso(error) => return error.help(),
            Error::Squashfs(error) => return error.help(),
            Error::Erofs(error) => return error.help(),
            Error::Ext4(error) => return error.help(),
            Error::Tree { source, .. } => return source.help(),
            Error::Kernel(error) => return error.help(),
            _ => {}
        }
        Some(match self {
            Error::Cpio(_) => "remove the file, or use a format with the root filesystem on a disk",
            Error::Syslinux(_) => "rebuild the image of the boot loader: `moby pkg build pkg/syslinux --arch amd64`",
            Error::Disk(disk::Error::TooSmall { .. }) => "use a larger --size, or put less on the disk",
            Error::Disk(disk::Error::TooLarge { .. }) => "use a format with a GPT",
            Error::Vhd(_) | Error::Vdi(_) | Error::Vhdx(_) | Error::Vmdk(vmdk::Error::TooLarge { .. }) => {
                "use another format"
            }
            Error::Uki(uki::Error::TooLarge { .. }) => {
                "make the initrd smaller, or use a format with the root filesystem on the disk"
            }
            Error::UncompressedSquashfs => {
                "use `--compress lz4`, which is the fastest; ext4 is not compressed: `--root ext4` for disks and ISOs, or \
                 `-f kernel+ext4`"
            }
            Error::ErofsCompression(_) => {
                "use `--compress lz4`; or squashfs: `--root squashfs` for disks and ISOs, or `-f kernel+squashfs`"
            }
            Error::Driver { .. } => {
                "choose another root filesystem (--root, or another kernel+ format), or a kernel that has the driver"
            }
            Error::LoaderFile(_) => "use an image with the files of pkg/syslinux, pkg/systemd-boot or pkg/init",
            Error::Firmware(_) => "use an image with the files of pkg/rpi-firmware",
            Error::UnresolvedLoader(_) => "report it at https://github.com/moby-rs/moby/issues",
            Error::NoKernel => "set `kernel.image` in the YAML",
            Error::DeviceTrees(_) => "use the package kernel/rpi, which has them in its kernel.tar",
            Error::Cmdline { .. } => "shorten it, or use a format for UEFI",
            _ => return None,
        })
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        let help = error.help();
        let mut diagnostic = Diagnostic::error(error.to_string());
        diagnostic.help.extend(help.map(str::to_owned));
        diagnostic
    }
}

impl From<Error> for Diagnostics {
    fn from(error: Error) -> Self {
        match error {
            Error::MissingLoader(missing) => *missing,
            error => Diagnostic::from(error).into(),
        }
    }
}
