//! Machines whose kernel QEMU loads, and whose root filesystem is an image of its own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::bounded;

/// Maximum length of a kernel command line, in bytes. Linux takes 4 KiB at most on any architecture.
const MAX_CMDLINE: u64 = 64 << 10;

/// Suffixes of `moby build` for a root filesystem image and for the initrd that mounts it.
const SUFFIXES: [(&str, &str); 4] = [
    ("-squashfs.img", "-squashfs-initrd.img"),
    ("-erofs.img", "-erofs-initrd.img"),
    ("-ext4.img", "-ext4-initrd.img"),
    (".iso", "-iso-initrd.img"),
];

/// Files of a machine with a root filesystem image.
pub struct Rootfs {
    image: PathBuf,
    kernel: PathBuf,
    cmdline: PathBuf,
    initrd: PathBuf,
}

/// Finds the kernel that was built with a root filesystem image, if the file is one.
pub fn detect(image: &Path) -> Option<Rootfs> {
    let name = image.to_str()?;
    let (stem, initrd) = SUFFIXES
        .iter()
        .find_map(|(suffix, initrd)| Some((name.strip_suffix(suffix)?, initrd)))?;
    let file = |suffix: &str| PathBuf::from(format!("{stem}{suffix}"));
    let found = Rootfs {
        image: image.to_owned(),
        kernel: file("-kernel"),
        cmdline: file("-cmdline"),
        initrd: file(initrd),
    };
    (image.is_file() && found.kernel.is_file() && !is_bootable(image)).then_some(found)
}

/// Finds a root filesystem image that was built under a name.
pub fn beside(name: &Path) -> Option<PathBuf> {
    let image = |(suffix, _): &(&str, &str)| PathBuf::from(format!("{}{suffix}", name.display()));
    SUFFIXES.iter().map(image).find(|image| detect(image).is_some())
}

/// Returns whether firmware boots an ISO image (El Torito 1.0, 2.0: the boot record volume
/// descriptor is in sector 17).
fn is_bootable(image: &Path) -> bool {
    let read = || -> std::io::Result<[u8; 30]> {
        let mut bytes = [0; 30];
        let mut file = File::open(image)?;
        file.seek(SeekFrom::Start(17 * 2048))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    read().is_ok_and(|bytes| bytes.starts_with(b"\0CD001\x01EL TORITO"))
}

/// Reads the kernel command line of a build, which need not have one.
pub fn cmdline(path: &Path) -> String {
    bounded::text(path, MAX_CMDLINE).unwrap_or_default()
}

/// Returns QEMU's arguments for kernel and root filesystem. Further kernel arguments come before the
/// build's. QEMU keeps the guest's changes apart from the file, and drops them in the end.
pub fn arguments(rootfs: &Rootfs, first: &str) -> Vec<OsString> {
    let image = rootfs.image.display().to_string().replace(',', ",,");
    let mut cmdline = format!("{first}{}", cmdline(&rootfs.cmdline));
    let mut arguments: Vec<OsString> = vec!["-kernel".into(), (&rootfs.kernel).into()];
    if rootfs.initrd.is_file() {
        arguments.extend(["-initrd".into(), (&rootfs.initrd).into()]);
    } else if !cmdline.contains("root=") {
        // Without an initrd the kernel knows devices only, and this is the first.
        cmdline.push_str(" root=/dev/vda");
    }
    arguments.extend(["-append".into(), cmdline.into()]);
    let drive = format!("if=none,id=root,snapshot=on,format=raw,file={image}");
    arguments.extend([
        "-drive".into(),
        drive.into(),
        "-device".into(),
        "virtio-blk-pci,drive=root".into(),
    ]);
    arguments
}
