//! The programs and files that the tests need.

use crate::error::{Error, Result};
use crate::{cross, debian, npm, python};

/// Programs that the tests need, and the Debian packages that have them.
const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-img", "qemu-utils"),
    ("cpio", "cpio"),
    ("zstd", "zstd"),
    ("lz4", "lz4"),
    ("xz", "xz-utils"),
    ("gzip", "gzip"),
    ("pigz", "pigz"),
    ("zopfli", "zopfli"),
    ("igzip", "isal"),
    ("libdeflate-gzip", "libdeflate-tools"),
    ("xorriso", "xorriso"),
    ("isoinfo", "genisoimage"),
    ("bsdtar", "libarchive-tools"),
    ("7z", "p7zip-full"),
    ("sgdisk", "gdisk"),
    ("sfdisk", "fdisk"),
    ("fsck.fat", "dosfstools"),
    ("mcopy", "mtools"),
    ("syslinux", "syslinux"),
    ("isohybrid", "syslinux-utils"),
    ("extlinux", "extlinux"),
    ("e2fsck", "e2fsprogs"),
    ("unsquashfs", "squashfs-tools"),
    ("veritysetup", "cryptsetup-bin"),
    ("objcopy", "binutils"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("rpmbuild", "rpm"),
    ("docker-registry", "docker-registry"),
    ("qemu-x86_64", "qemu-user"),
    ("htpasswd", "apache2-utils"),
    ("openssl", "openssl"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("strace", "strace"),
    ("depmod", "kmod"),
    ("time", "time"),
    ("fsck.erofs", "erofs-utils"),
    ("busybox", "busybox-static"),
    ("xmllint", "libxml2-utils"),
    ("python3", "python3"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
];

/// Programs that only `test --all` needs, which compiles a kernel, and the Debian packages that have them.
const MORE_TOOLS: &[(&str, &str)] = &[
    ("make", "build-essential"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
];
const MORE_FILES: &[(&str, &str)] = &[
    ("/usr/include/gelf.h", "libelf-dev"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
];

/// Files that the tests need, and the Debian packages that have them.
const FILES: &[(&str, &str)] = &[
    ("/usr/share/doc/python3-venv/copyright", "python3-venv"),
    ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
    ("/usr/lib/syslinux/mbr/mbr.bin", "syslinux-common"),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "qemu-efi-aarch64"),
    ("/usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross"),
    ("/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "systemd-boot-efi"),
];

/// Installs what is missing, by apt-get and as root (with sudo where need be); `all` of what any
/// test needs.
pub fn install(all: bool) -> Result {
    debian::install(&missing(all))?;
    // A package may take the place of one that was there: the emulators of Debian remove newer
    // tools for disk images of another source.
    debian::install(&missing(all))?;
    let missing = missing(all);
    if !missing.is_empty() {
        return Err(Error::new(format!("apt-get does not provide {}", missing.join(" "))));
    }
    npm::install()?;
    python::install()?;
    // Programs for arm64 are compiled with it where rustup has no standard library for them.
    cross::install()
}

/// Lists the packages of the programs and files that are missing.
fn missing(all: bool) -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Checkers of filesystems are there for root only.
    let directories = || std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let there = |program: &str| directories().any(|directory| directory.join(program).is_file());
    let (more_tools, more_files) = if all {
        (MORE_TOOLS, MORE_FILES)
    } else {
        (&[][..], &[][..])
    };
    let programs = TOOLS.iter().chain(more_tools).filter(|(program, _)| !there(program));
    let files = FILES
        .iter()
        .chain(more_files)
        .filter(|(file, _)| !std::path::Path::new(file).is_file());
    programs.chain(files).map(|(_, package)| *package).collect()
}
