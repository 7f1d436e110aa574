//! What can go wrong with an output.

use std::io;
use std::path::PathBuf;

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the outputs are made of is damaged.
    #[error("an image is damaged")]
    Unsound,
    /// Something does not fit an initrd.
    #[error("the initrd cannot be made: {0}\nhelp: leave it out, or use a format with the root filesystem on a disk")]
    Cpio(#[from] cpio::Error),
    /// Something does not fit a tar.
    #[error("the tar cannot be made: {0}")]
    Pax(#[from] pax::Error),
    /// Something does not fit a FAT filesystem.
    #[error("{error}{help}", error = .0, help = help(.0.help()))]
    Fat(#[from] fat::Error),
    /// Something does not fit a CD.
    #[error("{error}{help}", error = .0, help = help(.0.help()))]
    Iso(#[from] iso9660::Error),
    /// The partitions do not fit the disk.
    #[error("{error}{help}", error = .0, help = disk_help(.0))]
    Disk(#[from] disk::Error),
    /// A boot loader that cannot be installed.
    #[error("{0}\nhelp: `moby pkg build pkg/syslinux` makes the image of the boot loader anew")]
    Syslinux(#[from] syslinux::Error),
    /// Something does not fit a squashfs.
    #[error("{error}{help}", error = .0, help = help(.0.help()))]
    Squashfs(#[from] squashfs::Error),
    /// Something does not fit an EROFS.
    #[error("{error}{help}", error = .0, help = help(.0.help()))]
    Erofs(#[from] erofs::Error),
    /// Something does not fit an ext4.
    #[error("{error}{help}", error = .0, help = help(.0.help()))]
    Ext4(#[from] ext4::Error),
    /// There can be no such root filesystem.
    #[error("{0}")]
    Filesystem(String),
    /// No unified kernel image can be made.
    #[error("{error}{help}", error = .0, help = uki_help(.0))]
    Uki(#[from] uki::Error),
    /// There is no boot loader.
    #[error("{0}")]
    Loader(String),
    /// The YAML has no kernel.
    #[error("there is no kernel to boot\nhelp: name its image under kernel: in the YAML")]
    NoKernel,
    /// The kernel is not what the format needs.
    #[error("{0}")]
    Kernel(String),
    /// The command line is longer than the boot loader takes.
    #[error(
        "the kernel's command line has {len} bytes, and syslinux takes 2047\nhelp: make it shorter, or use a format for UEFI"
    )]
    Cmdline {
        /// Its length in bytes.
        len: usize,
    },
    /// The disk does not fit its container.
    #[error(transparent)]
    Qcow2(#[from] qcow2::Error),
    /// The same.
    #[error("{0}\nhelp: use another format")]
    Vhd(#[from] vhd::Error),
    /// The same.
    #[error("{error}{help}", error = .0, help = vmdk_help(.0))]
    Vmdk(#[from] vmdk::Error),
    /// The same.
    #[error("{0}\nhelp: use another format")]
    Vdi(#[from] vdi::Error),
    /// The same.
    #[error("{0}\nhelp: use another format")]
    Vhdx(#[from] vhdx::Error),
    /// It does not fit an appliance.
    #[error(transparent)]
    Ova(#[from] ova::Error),
    /// What goes into an output cannot be read.
    #[error("cannot read what goes into the output: {0}")]
    Read(#[from] io::Error),
    /// The host's filesystem.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// The help of a format crate, as [`Diagnostic::from_text`](crate::diagnostic::Diagnostic) splits it off.
fn help(help: Option<&str>) -> String {
    help.map_or_else(String::new, |help| format!("\nhelp: {help}"))
}

/// The help for an error of the disk's layout.
fn disk_help(error: &disk::Error) -> &'static str {
    match error {
        disk::Error::TooSmall { .. } => "\nhelp: give a larger --size, or put less on it",
        disk::Error::TooLarge { .. } => "\nhelp: use a format with a GPT",
        _ => "",
    }
}

/// The help for an error of a VMDK image.
fn vmdk_help(error: &vmdk::Error) -> &'static str {
    match error {
        vmdk::Error::TooLarge { .. } => "\nhelp: use another format",
        _ => "",
    }
}

/// The help for an error of a unified kernel image.
fn uki_help(error: &uki::Error) -> &'static str {
    match error {
        uki::Error::TooLarge { .. } => {
            "\nhelp: make the initrd smaller, or use a format with the root filesystem on the disk"
        }
        _ => "",
    }
}
