//! Output formats: what each consists of, and the table of all.

mod table;

use crate::arch::Arch;
use crate::codec::compress::Compression;

use super::boot_files::Loader;
pub use table::FORMATS;

/// An output format.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Name for `--format`.
    pub name: &'static str,
    /// Description, of a few words.
    pub about: &'static str,
    /// Files, each with the suffix that its name gets.
    pub files: &'static [OutputFile],
    /// Supported architectures.
    pub arches: &'static [Arch],
    /// Arrangement of kernel, root filesystem and boot loader.
    pub layout: Layout,
    /// Disk image format, for layouts that are disks.
    pub disk_image: DiskImage,
    /// Location of the root filesystem unless `--root` says another.
    pub root: Root,
}

/// A file of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Content.
    pub part: Part,
    /// Suffix of the file name, after the name of the build.
    pub suffix: &'static str,
}

/// Content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Kernel.
    Kernel,
    /// Microcode and initrd.
    Initrd,
    /// Kernel command line.
    Cmdline,
    /// Image of the root filesystem.
    Root,
    /// Everything in one: an archive, an ISO image, a disk.
    Image,
}

const fn part(part: Part, suffix: &'static str) -> OutputFile {
    OutputFile { part, suffix }
}

/// Location of the root filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// Unpacked into memory from the initrd.
    Initramfs,
    /// Mounted from a disk or ISO image.
    On(Filesystem),
}

/// Filesystem that a root filesystem is mounted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filesystem {
    /// squashfs, compressed.
    Squashfs,
    /// EROFS.
    Erofs,
    /// ext4, mounted read-only unless the command line has `rw`.
    Ext4,
    /// ISO 9660 with Rock Ridge.
    Iso9660,
}

impl Filesystem {
    /// Returns the name in the kernel (`rootfstype=`).
    pub fn name(self) -> &'static str {
        match self {
            Filesystem::Squashfs => "squashfs",
            Filesystem::Erofs => "erofs",
            Filesystem::Ext4 => "ext4",
            Filesystem::Iso9660 => "iso9660",
        }
    }

    /// Returns the name of the kernel module.
    pub fn module(self) -> &'static str {
        match self {
            Filesystem::Squashfs => "squashfs",
            Filesystem::Erofs => "erofs",
            Filesystem::Ext4 => "ext4",
            Filesystem::Iso9660 => "isofs",
        }
    }
}

/// Mount of a root filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootMount {
    /// Filesystems that the kernel mounts; each but the first is an image file on the previous one.
    pub filesystems: Vec<Filesystem>,
    /// True if dm-verity verifies the last one.
    pub verity: bool,
}

impl RootMount {
    /// Returns whether nothing is mounted.
    pub fn is_empty(&self) -> bool {
        self.filesystems.is_empty()
    }

    /// Returns whether no kernel mounts it by itself: an image in a file, or a device of dm-verity.
    pub fn needs_init(&self) -> bool {
        self.verity || self.filesystems.len() > 1
    }
}

/// A text that names no location of a root filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected initramfs, squashfs, erofs, ext4 or, for ISO images, iso")]
pub struct UnknownRoot;

impl std::str::FromStr for Root {
    type Err = UnknownRoot;

    fn from_str(text: &str) -> Result<Self, UnknownRoot> {
        Ok(match text {
            "initramfs" => Root::Initramfs,
            "squashfs" => Root::On(Filesystem::Squashfs),
            "erofs" => Root::On(Filesystem::Erofs),
            "ext4" => Root::On(Filesystem::Ext4),
            "iso" => Root::On(Filesystem::Iso9660),
            _ => return Err(UnknownRoot),
        })
    }
}

/// Firmware that boots a disk or ISO image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// BIOS, by syslinux.
    pub bios: bool,
    /// UEFI, by systemd's stub or menu.
    pub efi: bool,
}

impl Firmware {
    /// BIOS alone.
    const BIOS: Firmware = Firmware { bios: true, efi: false };
    /// UEFI alone.
    const EFI: Firmware = Firmware { bios: false, efi: true };
    /// BIOS and UEFI.
    const BOTH: Firmware = Firmware { bios: true, efi: true };

    /// Returns the part that an architecture has: only amd64 has a BIOS.
    pub fn on(self, arch: Arch) -> Firmware {
        Firmware {
            bios: self.bios && arch == Arch::Amd64,
            ..self
        }
    }
}

/// Kind of partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Master boot record.
    Mbr,
    /// GPT.
    Gpt,
}

/// Arrangement of kernel, root filesystem and boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Kernel, initrd and root filesystem as files, for a boot loader of the user's.
    Kernel,
    /// Archive of files.
    Archive(Archive),
    /// Unified kernel image.
    Uki,
    /// ISO image that is a disk as well.
    Iso(Firmware),
    /// Disk with a FAT filesystem to boot from, and a partition for the root filesystem unless
    /// that is in the initrd.
    Disk(Table, Firmware),
    /// Disk with one ext4 filesystem for everything, booted by extlinux.
    Extlinux,
    /// SD card of a Raspberry Pi.
    SdCard,
}

/// Content of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// Root filesystem with `/boot`.
    Root,
    /// Root filesystem with `/boot` and a Dockerfile.
    Docker,
    /// Root filesystem as a container image, in an OCI archive.
    Oci,
    /// Root filesystem as a container image, in an archive for `docker load`.
    DockerLoad,
    /// Kernel, initrd, command line and microcode.
    KernelInitrd,
    /// Files of a Raspberry Pi's SD card.
    SdCard,
}

/// Disk image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskImage {
    /// Sectors as they are.
    Raw,
    /// QEMU's qcow2.
    Qcow2,
    /// qcow2 with compressed clusters.
    Qcow2Compressed,
    /// Microsoft's VHD with all sectors.
    FixedVhd,
    /// Microsoft's VHD without sectors of zeros.
    DynamicVhd,
    /// Hyper-V's VHDX.
    Vhdx,
    /// VMware's VMDK in one sparse file.
    Vmdk,
    /// VMware's VMDK, compressed, for uploads.
    StreamVmdk,
    /// Appliance: a stream-optimized VMDK with the description of a virtual machine.
    Ova,
    /// VirtualBox's VDI.
    Vdi,
    /// Google Cloud's tar.gz of the sparse file `disk.raw`.
    Gcp,
    /// Raw, compressed as one stream.
    Compressed(Compression),
    /// Raw, compressed as one stream, for DigitalOcean.
    DigitalOcean,
}

/// Maximum length of a disk that is compressed as one stream, in bytes: its zeros are compressed too,
/// about a gigabyte of them in a second.
pub const MAX_COMPRESSED: u64 = 2 << 40;
/// Maximum length of a disk of DigitalOcean's, in bytes (its API, "Create a Custom Image").
const MAX_DIGITALOCEAN: u64 = 100_000_000_000;

impl DiskImage {
    /// Returns the unit of the disk's length, in bytes.
    pub fn unit(self) -> u64 {
        match self {
            // Azure and Google Cloud accept nothing else.
            DiskImage::FixedVhd | DiskImage::DynamicVhd | DiskImage::Vhdx => 1 << 20,
            DiskImage::Gcp => 1 << 30,
            _ => 512,
        }
    }

    /// Maximum length of the disk in bytes; none where only the partition table limits it.
    pub fn max_len(self) -> Option<u64> {
        match self {
            DiskImage::Raw | DiskImage::Gcp => None,
            DiskImage::Qcow2 | DiskImage::Qcow2Compressed => Some(qcow2::MAX_DISK_LEN),
            DiskImage::FixedVhd | DiskImage::DynamicVhd => Some(vhd::MAX_DISK_LEN),
            DiskImage::Vhdx => Some(vhdx::MAX_DISK_LEN),
            DiskImage::Vmdk | DiskImage::StreamVmdk | DiskImage::Ova => Some(vmdk::MAX_DISK_LEN),
            DiskImage::Vdi => Some(vdi::MAX_DISK_LEN),
            DiskImage::Compressed(_) => Some(MAX_COMPRESSED),
            DiskImage::DigitalOcean => Some(MAX_DIGITALOCEAN),
        }
    }

    /// Returns whether the format compresses.
    fn is_compressed(self) -> bool {
        matches!(
            self,
            DiskImage::Qcow2Compressed
                | DiskImage::StreamVmdk
                | DiskImage::Ova
                | DiskImage::Gcp
                | DiskImage::Compressed(_)
                | DiskImage::DigitalOcean
        )
    }
}

impl Format {
    /// Returns the suffix of a file that another format writes with other content.
    pub fn clashes(&self, other: &Format) -> Option<&'static str> {
        let own = self.files.iter().map(|file| (file.part, file.suffix));
        let shared = |part: Part| matches!(part, Part::Kernel | Part::Cmdline);
        own.filter(|(part, _)| !shared(*part))
            .map(|(_, suffix)| suffix)
            .find(|suffix| other.files.iter().any(|file| file.suffix == *suffix))
    }

    /// Returns whether the format is a single file, so that `--output` can name it.
    pub fn is_single_file(&self) -> bool {
        self.files.len() == 1
    }

    /// Returns the firmware that boots it without another boot loader.
    pub fn firmware(&self) -> Option<Firmware> {
        match self.layout {
            Layout::Iso(firmware) | Layout::Disk(_, firmware) => Some(firmware),
            Layout::Extlinux => Some(Firmware::BIOS),
            _ => None,
        }
    }

    /// Returns whether the name of the build is within a file of it.
    pub fn contains_name(&self) -> bool {
        self.disk_image == DiskImage::Ova || matches!(self.layout, Layout::Archive(Archive::Oci | Archive::DockerLoad))
    }

    /// Returns whether it is a disk image.
    pub fn is_disk(&self) -> bool {
        matches!(self.layout, Layout::Disk(..) | Layout::Extlinux | Layout::SdCard)
    }

    /// Returns whether `--compress-disk` applies: to disk images that are not compressed.
    pub fn takes_disk_compression(&self) -> bool {
        self.is_disk() && !self.disk_image.is_compressed()
    }

    /// Returns whether `--compress` applies: moby does not compress tar archives of the tree.
    pub fn takes_compression(&self) -> bool {
        use Archive::{Docker, DockerLoad, Root};
        !matches!(self.layout, Layout::Archive(Root | Docker | DockerLoad))
    }

    /// Returns whether `--root` may put the root filesystem there.
    pub fn takes_root(&self, root: Root) -> bool {
        match self.layout {
            Layout::Iso(_) => true,
            Layout::Disk(..) => root != Root::On(Filesystem::Iso9660),
            _ => false,
        }
    }

    /// Returns the location of the root filesystem, given the one asked for.
    pub fn root(&self, asked: Option<Root>) -> Root {
        asked.filter(|root| self.takes_root(*root)).unwrap_or(self.root)
    }

    /// Returns whether nothing can be made without a kernel.
    pub fn needs_kernel(&self) -> bool {
        !matches!(
            self.layout,
            Layout::Kernel
                | Layout::Archive(
                    Archive::Root | Archive::Docker | Archive::Oci | Archive::DockerLoad | Archive::KernelInitrd
                )
        )
    }

    /// Returns whether `--verity` applies to a root filesystem there: it must be an image of its own.
    pub fn takes_verity(&self, root: Root) -> bool {
        match (self.layout, root) {
            (Layout::Kernel | Layout::Disk(..), Root::On(_)) => true,
            (Layout::Iso(_), Root::On(filesystem)) => filesystem != Filesystem::Iso9660,
            _ => false,
        }
    }

    /// Returns the mount of a root filesystem there; an empty one if it is in the initrd.
    pub fn root_mount(&self, root: Root, verity: bool) -> RootMount {
        let filesystems = match (self.layout, root) {
            (Layout::Archive(_), _) | (_, Root::Initramfs) => Vec::new(),
            (Layout::Iso(_), Root::On(filesystem)) if filesystem != Filesystem::Iso9660 => {
                vec![Filesystem::Iso9660, filesystem]
            }
            (_, Root::On(filesystem)) => vec![filesystem],
        };
        RootMount {
            filesystems,
            verity: verity && self.takes_verity(root),
        }
    }

    /// Returns the boot loaders that it always needs on an architecture.
    pub fn loaders(&self, arch: Arch) -> Vec<Loader> {
        match self.layout {
            Layout::Uki => vec![Loader::Efi],
            Layout::SdCard | Layout::Archive(Archive::SdCard) => vec![Loader::RaspberryPi],
            _ => {
                let firmware = self.firmware().map(|firmware| firmware.on(arch));
                let bios = firmware.filter(|firmware| firmware.bios).map(|_| Loader::Bios);
                let efi = firmware.filter(|firmware| firmware.efi).map(|_| Loader::Efi);
                bios.into_iter().chain(efi).collect()
            }
        }
    }
}

/// Finds the format of a name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}
