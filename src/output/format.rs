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
    /// A CD with kernel and initrd.
    Iso(Firmware),
    /// A disk with one FAT filesystem with kernel and initrd.
    Disk(Table, Firmware),
}

impl Format {
    /// Whether it is one stream, so that `--output` can name it.
    pub fn is_stream(&self) -> bool {
        self.files.len() == 1
    }

    /// What starts a machine from it by itself.
    pub fn firmware(&self) -> Option<Firmware> {
        match self.kind {
            Kind::Iso(firmware) | Kind::Disk(_, firmware) => Some(firmware),
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
        name: "iso",
        about: "CD and USB stick that starts under BIOS and UEFI",
        files: &["-hybrid.iso"],
        arches: PC,
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
        arches: PC,
        kind: Kind::Disk(Table::Gpt, BOTH),
    },
    Format {
        name: "raw-bios",
        about: "disk for a BIOS: MBR, FAT, syslinux",
        files: &["-bios.img"],
        arches: PC,
        kind: Kind::Disk(Table::Mbr, BIOS),
    },
    Format {
        name: "raw-efi",
        about: "disk for UEFI: GPT, unified kernel image",
        files: &["-efi.img"],
        arches: UEFI,
        kind: Kind::Disk(Table::Gpt, EFI),
    },
];

/// The format of a name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}
