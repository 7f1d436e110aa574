//! What a Raspberry Pi starts: files in a FAT filesystem, which its firmware reads by their names
//! (Raspberry Pi documentation, "The boot folder" and "config.txt").
//!
//! ```text
//! bootcode.bin start*.elf fixup*.dat    the firmware itself; the Pi 5 has it on board
//! config.txt                            what it is to do
//! bcm2*.dtb overlays/                   device trees, of which it takes the one for the board
//! kernel8.img initrd.img cmdline.txt    what it starts
//! ```

use extents::Extents;
use tree::{Kind, Tree};

use super::Error;
use super::boot_files::Loaders;
use super::kernel_initrd::Payload;
use super::media::{empty, put, text};
use crate::kernel;

/// Where a kernel's tar has its device trees, as LinuxKit's kernels have them.
const DEVICE_TREES: &str = "boot/dtb/broadcom/";
const OVERLAYS: &str = "boot/dtb/overlays/";

/// The files of a card; `whole` is the root filesystem with the kernel's device trees.
///
/// # Errors
/// A kernel or firmware that lacks what it should have.
pub fn files(payload: &Payload, loaders: &Loaders, whole: &Tree) -> Result<Tree, Error> {
    let mut files = empty();
    for (name, content) in loaders.rpi()? {
        put(&mut files, &name, content)?;
    }
    let mut upstream = None;
    for item in whole.walk() {
        let path = tree::show(&item.path);
        let Kind::File(content) = &item.node.kind else { continue };
        if let Some(name) = path.strip_prefix(DEVICE_TREES).filter(|name| name.ends_with(".dtb")) {
            put(&mut files, name, content.clone())?;
            upstream = Some(upstream.unwrap_or(true) && !name.starts_with("bcm2710-"));
        } else if let Some(name) = path.strip_prefix(OVERLAYS) {
            put(&mut files, &format!("overlays/{name}"), content.clone())?;
        }
    }
    let upstream = upstream.ok_or_else(|| {
        Error::Kernel(format!(
            "the kernel has no device trees for a Raspberry Pi\nhelp: pkg kernel/rpi has; its kernel.tar has them in {DEVICE_TREES}"
        ))
    })?;
    let kernel = payload.kernel.as_ref().ok_or(Error::NoKernel)?;
    let kernel = kernel::decompressed(kernel).map_err(|error| Error::Kernel(format!("the kernel: {error}")))?;
    put(&mut files, "kernel8.img", kernel)?;
    let initrd = payload.combined_initrd();
    put(&mut files, "config.txt", config(upstream, initrd.is_some()))?;
    if let Some(initrd) = initrd {
        put(&mut files, "initrd.img", initrd)?;
    }
    let cmdline = payload.cmdline_text()?;
    let words: Vec<&str> = cmdline.split_whitespace().collect();
    put(&mut files, "cmdline.txt", text(format!("{}\n", words.join(" "))))?;
    Ok(files)
}

/// What the firmware is to do.
fn config(upstream: bool, initrd: bool) -> Extents {
    let mut config = String::from("arm_64bit=1\nenable_uart=1\nkernel=kernel8.img\n");
    if initrd {
        // No equals sign: that is how it is written.
        config.push_str("initramfs initrd.img followkernel\n");
    }
    if upstream {
        // Device trees have the names that Linux gives them, not those of Raspberry Pi's own kernel.
        config.push_str("upstream_kernel=1\n");
    }
    text(config)
}
