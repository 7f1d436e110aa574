//! The table of formats.

use crate::arch::Arch;
use crate::codec::compress::Compression;

/// What a format is made of and called.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name for `--format`.
    pub name: &'static str,
    /// What it holds, in a few words.
    pub about: &'static str,
    /// What is added to the name of the build, one for each file.
    pub files: &'static [&'static str],
    /// Supported architectures.
    pub arches: &'static [Arch],
    /// How it is made.
    pub kind: Kind,
    /// Where its root filesystem is when `--root` says nothing; formats that hold no choice
    /// ([`Format::takes_root`]) have the first.
    pub root: Root,
}

/// Where the root filesystem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// In memory, unpacked from the initrd.
    Initramfs,
    /// On the medium, mounted from there.
    On(Filesystem),
}

/// The filesystems that a root can be on a medium as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filesystem {
    /// Squashfs, compressed.
    Squashfs,
    /// EROFS.
    Erofs,
    /// ext4, mounted read-only unless the command line has `rw`.
    Ext4,
    /// ISO 9660 with Rock Ridge.
    Iso9660,
}

impl Filesystem {
    /// As the kernel calls it (`rootfstype=`).
    pub fn name(self) -> &'static str {
        match self {
            Filesystem::Squashfs => "squashfs",
            Filesystem::Erofs => "erofs",
            Filesystem::Ext4 => "ext4",
            Filesystem::Iso9660 => "iso9660",
        }
    }
}

impl std::str::FromStr for Root {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "initramfs" => Root::Initramfs,
            "squashfs" => Root::On(Filesystem::Squashfs),
            "erofs" => Root::On(Filesystem::Erofs),
            "ext4" => Root::On(Filesystem::Ext4),
            "iso" => Root::On(Filesystem::Iso9660),
            _ => return Err("it is one of initramfs, squashfs, erofs, ext4 and, on a CD, iso".into()),
        })
    }
}

/// What starts a machine from a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// A BIOS, by syslinux.
    pub bios: bool,
    /// UEFI, by systemd's stub or menu.
    pub efi: bool,
}

const BIOS: Firmware = Firmware { bios: true, efi: false };
const EFI: Firmware = Firmware { bios: false, efi: true };
const BOTH: Firmware = Firmware { bios: true, efi: true };

/// How a disk is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A master boot record.
    Mbr,
    /// A GPT.
    Gpt,
}

/// What a disk is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Nothing.
    Raw,
    /// QEMU's.
    Qcow2,
    /// QEMU's, with compressed clusters.
    CompressedQcow2,
    /// Microsoft's, with all sectors.
    FixedVhd,
    /// Microsoft's, with the sectors that are not zeros.
    DynamicVhd,
    /// Microsoft's of today.
    Vhdx,
    /// VMware's, of one sparse file.
    Vmdk,
    /// VMware's, compressed, for what is uploaded.
    StreamVmdk,
    /// The same in an appliance with a machine around it.
    Ova,
    /// VirtualBox's.
    Vdi,
    /// A tar of the sparse file `disk.raw`, compressed by gzip: Google's.
    Gcp,
    /// Nothing, compressed as a whole.
    Packed(Compression),
}

impl Container {
    /// What the length of the disk must be a multiple of, in bytes.
    pub fn unit(self) -> u64 {
        match self {
            // Azure and Google take nothing else.
            Container::FixedVhd | Container::DynamicVhd | Container::Vhdx => 1 << 20,
            Container::Gcp => 1 << 30,
            _ => 512,
        }
    }

    /// Whether what is in it is compressed already.
    fn compresses(self) -> bool {
        matches!(
            self,
            Container::CompressedQcow2 | Container::StreamVmdk | Container::Ova | Container::Gcp | Container::Packed(_)
        )
    }
}

const ALL: &[Arch] = &Arch::ALL;
const PC: &[Arch] = &[Arch::Amd64];
const PI: &[Arch] = &[Arch::Arm64];
const UEFI: &[Arch] = &[Arch::Amd64, Arch::Arm64];

/// The ways of making files from a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tree as a tar.
    Tar,
    /// The tree as a tar with a Dockerfile.
    Docker,
    /// The tree as the image of a container, in an OCI archive.
    OciArchive,
    /// The same in an archive for `docker load`.
    DockerArchive,
    /// Kernel, initrd and command line as files.
    KernelInitrd,
    /// The same in a tar.
    TarKernelInitrd,
    /// A unified kernel image.
    Uki,
    /// A CD with kernel and initrd.
    Iso(Firmware),
    /// A disk with one FAT filesystem with kernel and initrd, and what it is wrapped in.
    Disk(Table, Firmware, Container),
    /// A disk with one ext4 filesystem that has everything, started by extlinux.
    Extlinux(Container),
    /// Kernel, a root filesystem of its own, command line, and the initrd that mounts the root
    /// when the kernel cannot by itself.
    KernelRoot(Filesystem),
    /// What a Raspberry Pi reads from its card, as a disk.
    RaspberryPi,
    /// The same as a tar of files.
    RaspberryPiTar,
}

impl Kind {
    /// What there is of it for an architecture: a BIOS is for amd64 alone.
    pub fn on(self, arch: Arch) -> Kind {
        let on = |firmware: Firmware| Firmware {
            bios: firmware.bios && arch == Arch::Amd64,
            ..firmware
        };
        match self {
            Kind::Iso(firmware) => Kind::Iso(on(firmware)),
            Kind::Disk(table, firmware, container) => Kind::Disk(table, on(firmware), container),
            other => other,
        }
    }
}

impl Format {
    /// A name that another format has for another file.
    pub fn clashes(&self, other: &Format) -> Option<&'static str> {
        // Kernel and command line are the same in all.
        let own = self.files.iter().filter(|file| !["-kernel", "-cmdline"].contains(file));
        own.copied().find(|file| other.files.contains(file))
    }

    /// Whether it is one stream, so that `--output` can name it.
    pub fn is_stream(&self) -> bool {
        self.files.len() == 1
    }

    /// What starts a machine from it by itself.
    pub fn firmware(&self) -> Option<Firmware> {
        match self.kind {
            Kind::Iso(firmware) | Kind::Disk(_, firmware, _) => Some(firmware),
            Kind::Extlinux(_) => Some(BIOS),
            _ => None,
        }
    }

    /// Whether it is the file of a disk that is not compressed.
    pub fn is_disk(&self) -> bool {
        match self.kind {
            Kind::Disk(_, _, container) | Kind::Extlinux(container) => !container.compresses(),
            Kind::RaspberryPi => true,
            _ => false,
        }
    }

    /// Whether there is something compressed in it: archives of the tree are for others to compress.
    pub fn compresses(&self) -> bool {
        !matches!(self.kind, Kind::Tar | Kind::Docker | Kind::DockerArchive)
    }

    /// Whether `--size` may make it longer.
    pub fn takes_size(&self) -> bool {
        matches!(self.kind, Kind::Disk(..) | Kind::Extlinux(_) | Kind::RaspberryPi)
    }

    /// Whether `--root` may say where its root filesystem is.
    pub fn takes_root(&self, root: Root) -> bool {
        match self.kind {
            Kind::Iso(_) => true,
            Kind::Disk(..) => root != Root::On(Filesystem::Iso9660),
            _ => false,
        }
    }
}

/// All formats.
pub const FORMATS: &[Format] = &[
    Format {
        name: "kernel+initrd",
        about: "kernel, initrd and kernel command line",
        files: &["-kernel", "-initrd.img", "-cmdline"],
        arches: ALL,
        kind: Kind::KernelInitrd,
        root: Root::Initramfs,
    },
    Format {
        name: "kernel+squashfs",
        about: "kernel, kernel command line, squashfs root filesystem",
        files: &["-kernel", "-squashfs.img", "-cmdline", "-squashfs-initrd.img"],
        arches: ALL,
        kind: Kind::KernelRoot(Filesystem::Squashfs),
        root: Root::On(Filesystem::Squashfs),
    },
    Format {
        name: "kernel+erofs",
        about: "kernel, kernel command line, EROFS root filesystem",
        files: &["-kernel", "-erofs.img", "-cmdline", "-erofs-initrd.img"],
        arches: ALL,
        kind: Kind::KernelRoot(Filesystem::Erofs),
        root: Root::On(Filesystem::Erofs),
    },
    Format {
        name: "kernel+ext4",
        about: "kernel, kernel command line, ext4 root filesystem",
        files: &["-kernel", "-ext4.img", "-cmdline", "-ext4-initrd.img"],
        arches: ALL,
        kind: Kind::KernelRoot(Filesystem::Ext4),
        root: Root::On(Filesystem::Ext4),
    },
    Format {
        name: "kernel+iso",
        about: "kernel, kernel command line, ISO 9660 root filesystem",
        files: &["-kernel", ".iso", "-cmdline", "-iso-initrd.img"],
        arches: ALL,
        kind: Kind::KernelRoot(Filesystem::Iso9660),
        root: Root::On(Filesystem::Iso9660),
    },
    Format {
        name: "tar-kernel-initrd",
        about: "tar of kernel, initrd and kernel command line",
        files: &["-initrd.tar"],
        arches: ALL,
        kind: Kind::TarKernelInitrd,
        root: Root::Initramfs,
    },
    Format {
        name: "tar",
        about: "tar of the root filesystem",
        files: &[".tar"],
        arches: ALL,
        kind: Kind::Tar,
        root: Root::Initramfs,
    },
    Format {
        name: "docker",
        about: "tar of the root filesystem with a Dockerfile",
        files: &[".docker"],
        arches: ALL,
        kind: Kind::Docker,
        root: Root::Initramfs,
    },
    Format {
        name: "uki",
        about: "unified kernel image, a UEFI program",
        files: &[".efi"],
        arches: UEFI,
        kind: Kind::Uki,
        root: Root::Initramfs,
    },
    Format {
        name: "oci",
        about: "OCI archive with the root filesystem as an image",
        files: &["-oci.tar"],
        arches: ALL,
        kind: Kind::OciArchive,
        root: Root::Initramfs,
    },
    Format {
        name: "docker-archive",
        about: "`docker load` archive with the root filesystem as an image",
        files: &["-docker.tar"],
        arches: ALL,
        kind: Kind::DockerArchive,
        root: Root::Initramfs,
    },
    Format {
        name: "iso",
        about: "ISO for BIOS and UEFI boot, initramfs",
        files: &["-hybrid.iso"],
        arches: UEFI,
        kind: Kind::Iso(BOTH),
        root: Root::Initramfs,
    },
    Format {
        name: "iso-bios",
        about: "ISO for BIOS boot, root filesystem on the ISO",
        files: &[".iso"],
        arches: PC,
        kind: Kind::Iso(BIOS),
        root: Root::On(Filesystem::Iso9660),
    },
    Format {
        name: "iso-efi",
        about: "ISO for UEFI boot, root filesystem on the ISO",
        files: &["-efi.iso"],
        arches: UEFI,
        kind: Kind::Iso(EFI),
        root: Root::On(Filesystem::Iso9660),
    },
    Format {
        name: "iso-efi-initrd",
        about: "ISO for UEFI boot, initramfs",
        files: &["-efi-initrd.iso"],
        arches: UEFI,
        kind: Kind::Iso(EFI),
        root: Root::Initramfs,
    },
    Format {
        name: "raw",
        about: "raw disk for BIOS and UEFI boot",
        files: &[".img"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Raw),
        root: Root::Initramfs,
    },
    Format {
        name: "raw-bios",
        about: "raw disk for BIOS boot: MBR, FAT, SYSLINUX",
        files: &["-bios.img"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::Raw),
        root: Root::Initramfs,
    },
    Format {
        name: "raw-ext4",
        about: "raw disk for BIOS boot: MBR, ext4, EXTLINUX",
        files: &["-raw-ext4.img"],
        arches: PC,
        kind: Kind::Extlinux(Container::Raw),
        root: Root::On(Filesystem::Ext4),
    },
    Format {
        name: "raw-efi",
        about: "raw disk for UEFI boot: GPT, unified kernel image",
        files: &["-efi.img"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, EFI, Container::Raw),
        root: Root::Initramfs,
    },
    Format {
        name: "qcow2",
        about: "qcow2 disk for BIOS and UEFI boot, for QEMU",
        files: &["-hybrid.qcow2"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Qcow2),
        root: Root::Initramfs,
    },
    Format {
        name: "qcow2-bios",
        about: "qcow2 disk for BIOS boot, for QEMU",
        files: &[".qcow2"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::Qcow2),
        root: Root::Initramfs,
    },
    Format {
        name: "qcow2-efi",
        about: "qcow2 disk for UEFI boot, for QEMU",
        files: &["-efi.qcow2"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, EFI, Container::Qcow2),
        root: Root::Initramfs,
    },
    Format {
        name: "vhd",
        about: "fixed VHD disk for BIOS boot",
        files: &[".vhd"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::FixedVhd),
        root: Root::Initramfs,
    },
    Format {
        name: "dynamic-vhd",
        about: "dynamic VHD disk for BIOS boot",
        files: &[".vhd"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::DynamicVhd),
        root: Root::Initramfs,
    },
    Format {
        name: "vhdx",
        about: "VHDX disk for BIOS and UEFI boot, for Hyper-V",
        files: &[".vhdx"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Vhdx),
        root: Root::Initramfs,
    },
    Format {
        name: "vmdk",
        about: "VMDK disk for BIOS boot, for VMware",
        files: &[".vmdk"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::Vmdk),
        root: Root::Initramfs,
    },
    Format {
        name: "stream-vmdk",
        about: "compressed VMDK disk for BIOS and UEFI boot",
        files: &["-stream.vmdk"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::StreamVmdk),
        root: Root::Initramfs,
    },
    Format {
        name: "ova",
        about: "OVA appliance for VMware and VirtualBox",
        files: &[".ova"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Ova),
        root: Root::Initramfs,
    },
    Format {
        name: "vdi",
        about: "VDI disk for BIOS and UEFI boot, for VirtualBox",
        files: &[".vdi"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Vdi),
        root: Root::Initramfs,
    },
    Format {
        name: "aws",
        about: "raw disk for AWS",
        files: &[".raw"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Raw),
        root: Root::Initramfs,
    },
    Format {
        name: "openstack",
        about: "compressed qcow2 disk for OpenStack",
        files: &["-openstack.qcow2"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::CompressedQcow2),
        root: Root::Initramfs,
    },
    Format {
        name: "digitalocean",
        about: "gzip-compressed raw disk for DigitalOcean",
        files: &["-digitalocean.img.gz"],
        arches: PC,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Packed(Compression::DISK)),
        root: Root::Initramfs,
    },
    Format {
        name: "hetzner",
        about: "xz-compressed raw disk for Hetzner",
        files: &["-hetzner.img.xz"],
        arches: PC,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Packed(Compression::Xz(6))),
        root: Root::Initramfs,
    },
    Format {
        name: "gcp",
        about: "tar.gz of a raw disk for Google Cloud",
        files: &[".img.tar.gz"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Gcp),
        root: Root::Initramfs,
    },
    Format {
        name: "azure",
        about: "fixed VHD disk for Azure",
        files: &["-azure.vhd"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::FixedVhd),
        root: Root::Initramfs,
    },
    Format {
        name: "rpi",
        about: "SD card image for Raspberry Pi 3, 4 and 5",
        files: &["-rpi.img"],
        arches: PI,
        kind: Kind::RaspberryPi,
        root: Root::Initramfs,
    },
    Format {
        name: "rpi3",
        about: "tar of the boot files for Raspberry Pi 3, 4 and 5",
        files: &[".tar"],
        arches: PI,
        kind: Kind::RaspberryPiTar,
        root: Root::Initramfs,
    },
];

/// The format of a name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}
