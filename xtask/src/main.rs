//! What a developer runs: `cargo xtask test`.

mod bench;
mod debian;
mod deny;
mod foreign;
mod fuzz;
mod inputs;
mod macos;
mod peer;
mod windows;

use std::process::{Command, ExitCode};

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
    ("objcopy", "binutils"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("depmod", "kmod"),
    ("time", "time"),
    ("fsck.erofs", "erofs-utils"),
    ("busybox", "busybox-static"),
    ("xmllint", "libxml2-utils"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
];

/// The same for those tests that are left out without `--all`: what compiles a kernel.
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
    ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
    ("/usr/lib/syslinux/mbr/mbr.bin", "syslinux-common"),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "qemu-efi-aarch64"),
    ("/usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross"),
    ("/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "systemd-boot-efi"),
];

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let option = std::env::args().nth(2);
    let done = match task.as_str() {
        "test" => match option.as_deref() {
            None => install(false).and_then(|()| run("cargo", &["test", "--workspace"])),
            Some("--all") => {
                install(true).and_then(|()| run("cargo", &["test", "--workspace", "--", "--include-ignored"]))
            }
            Some(other) => Err(format!("{other} is not known\nhelp: --all is")),
        },
        "bench" => match option.as_deref() {
            None | Some("--formats") => install(false).and_then(|()| bench::formats()),
            Some("--peer") => {
                let peer = std::env::args_os().nth(3);
                install(false).and_then(|()| peer::run(peer.as_ref().map(std::path::Path::new)))
            }
            Some(other) => Err(format!(
                "{other} is not known\nhelp: --peer [PATH] compares with a linuxkit program"
            )),
        },
        "fuzz" => fuzz::run(option.as_deref()),
        "windows" => windows::run(option.as_deref()),
        "macos" => macos::check(),
        "deny" => deny::check(),
        _ => {
            eprintln!("cargo xtask test     install what the tests need, and run them, boots included");
            eprintln!("                     `test --all` runs those as well that compile a kernel, half an hour more");
            eprintln!("cargo xtask bench    time the formats against the programs that do the same");
            eprintln!("                     --peer PATH compares `moby build` with the linuxkit program at PATH");
            eprintln!("cargo xtask fuzz     run each fuzz target for a minute, or for so many seconds");
            eprintln!("cargo xtask windows  build moby.exe, run it under wine, and compare what it writes with Linux;");
            eprintln!("                     `windows build` and `windows run` do one of the two");
            eprintln!("cargo xtask macos    check that moby and its tests compile for macOS");
            eprintln!("cargo xtask deny     check licences, advisories and sources of the dependencies");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} {} ended with {status}", arguments.join(" "))),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

/// Installs what is missing, by apt-get and as root (with sudo where need be); `all` of what any
/// test needs.
fn install(all: bool) -> Result<(), String> {
    debian::install(&missing(all))?;
    // A package may take the place of one that was there: the emulators of Debian remove newer
    // tools for disk images of another source.
    debian::install(&missing(all))?;
    let missing = missing(all);
    if !missing.is_empty() {
        return Err(format!("apt-get brought nothing of {}", missing.join(" ")));
    }
    // Programs for arm64 are compiled with it where rustup has no standard library for them.
    foreign::install()
}

/// The packages of the programs and files that are not there.
fn missing(all: bool) -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Checkers of filesystems are there for root only.
    let folders = || std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let there = |program: &str| folders().any(|folder| folder.join(program).is_file());
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
