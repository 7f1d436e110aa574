//! The table of formats.

/// What a format is made of and called.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name for `--format`.
    pub name: &'static str,
    /// What it holds, in a few words.
    pub about: &'static str,
    /// What is added to the name of the build, one for each file.
    pub files: &'static [&'static str],
    /// The architectures that it is for, as Go names them.
    pub arches: &'static [&'static str],
    /// How it is made.
    pub kind: Kind,
}

/// What starts a machine from a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// A BIOS, by syslinux.
    pub bios: bool,
    /// UEFI, by systemd's stub or menu.
    pub efi: bool,
}

impl Firmware {
    /// What there is of it for an architecture: a BIOS is for amd64 alone.
    pub fn on(self, arch: &str) -> Firmware {
        Firmware {
            bios: self.bios && arch == "amd64",
            ..self
        }
    }
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
    /// Microsoft's, with all sectors.
    FixedVhd,
    /// Microsoft's, with the sectors that are not zeros.
    DynamicVhd,
    /// VMware's, of one sparse file.
    Vmdk,
    /// VirtualBox's.
    Vdi,
    /// A tar of the sparse file `disk.raw`, compressed by gzip: Google's.
    Gcp,
}

impl Container {
    /// What the length of the disk must be a multiple of, in bytes.
    pub fn unit(self) -> u64 {
        match self {
            // Azure and Google take nothing else.
            Container::FixedVhd | Container::DynamicVhd => 1 << 20,
            Container::Gcp => 1 << 30,
            _ => 512,
        }
    }
}

const ALL: &[&str] = &["amd64", "arm64", "riscv64", "s390x"];
const PC: &[&str] = &["amd64"];
const UEFI: &[&str] = &["amd64", "arm64"];

/// The ways of making files from a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tree as a tar.
    Tar,
    /// The tree as a tar with a Dockerfile.
    Docker,
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
}

impl Format {
    /// Whether it is one stream, so that `--output` can name it.
    pub fn is_stream(&self) -> bool {
        self.files.len() == 1
    }

    /// What starts a machine from it by itself.
    pub fn firmware(&self) -> Option<Firmware> {
        match self.kind {
            Kind::Iso(firmware) | Kind::Disk(_, firmware, _) => Some(firmware),
            _ => None,
        }
    }
}

/// All formats.
pub const FORMATS: &[Format] = &[
    Format {
        name: "kernel+initrd",
        about: "kernel, initrd and command line",
        files: &["-kernel", "-initrd.img", "-cmdline"],
        arches: ALL,
        kind: Kind::KernelInitrd,
    },
    Format {
        name: "tar-kernel-initrd",
        about: "the same in a tar",
        files: &["-initrd.tar"],
        arches: ALL,
        kind: Kind::TarKernelInitrd,
    },
    Format {
        name: "tar",
        about: "the root filesystem as a tar",
        files: &[".tar"],
        arches: ALL,
        kind: Kind::Tar,
    },
    Format {
        name: "docker",
        about: "the root filesystem as a tar with a Dockerfile",
        files: &[".docker"],
        arches: ALL,
        kind: Kind::Docker,
    },
    Format {
        name: "uki",
        about: "unified kernel image: one program for UEFI",
        files: &[".efi"],
        arches: UEFI,
        kind: Kind::Uki,
    },
    Format {
        name: "iso",
        about: "CD and USB stick that starts under BIOS and UEFI",
        files: &["-hybrid.iso"],
        arches: UEFI,
        kind: Kind::Iso(BOTH),
    },
    Format {
        name: "iso-bios",
        about: "CD and USB stick for a BIOS",
        files: &[".iso"],
        arches: PC,
        kind: Kind::Iso(BIOS),
    },
    Format {
        name: "iso-efi-initrd",
        about: "CD and USB stick for UEFI",
        files: &["-efi-initrd.iso"],
        arches: UEFI,
        kind: Kind::Iso(EFI),
    },
    Format {
        name: "raw",
        about: "disk that starts under BIOS and UEFI",
        files: &[".img"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Raw),
    },
    Format {
        name: "raw-bios",
        about: "disk for a BIOS: MBR, FAT, syslinux",
        files: &["-bios.img"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::Raw),
    },
    Format {
        name: "raw-efi",
        about: "disk for UEFI: GPT, unified kernel image",
        files: &["-efi.img"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, EFI, Container::Raw),
    },
    Format {
        name: "qcow2",
        about: "QEMU's disk for BIOS and UEFI",
        files: &["-hybrid.qcow2"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Qcow2),
    },
    Format {
        name: "qcow2-bios",
        about: "QEMU's disk for a BIOS",
        files: &[".qcow2"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::Qcow2),
    },
    Format {
        name: "qcow2-efi",
        about: "QEMU's disk for UEFI",
        files: &["-efi.qcow2"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, EFI, Container::Qcow2),
    },
    Format {
        name: "vhd",
        about: "fixed VHD for a BIOS",
        files: &[".vhd"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::FixedVhd),
    },
    Format {
        name: "dynamic-vhd",
        about: "dynamic VHD for a BIOS",
        files: &[".vhd"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::DynamicVhd),
    },
    Format {
        name: "vmdk",
        about: "VMware's disk for a BIOS",
        files: &[".vmdk"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS, Container::Vmdk),
    },
    Format {
        name: "vdi",
        about: "VirtualBox's disk for BIOS and UEFI",
        files: &[".vdi"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Vdi),
    },
    Format {
        name: "aws",
        about: "disk for Amazon, BIOS and UEFI",
        files: &[".raw"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Raw),
    },
    Format {
        name: "gcp",
        about: "disk for Google, BIOS and UEFI",
        files: &[".img.tar.gz"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::Gcp),
    },
    Format {
        name: "azure",
        about: "disk for Azure, BIOS and UEFI",
        files: &["-azure.vhd"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, BOTH, Container::FixedVhd),
    },
];

/// The format of a name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}
