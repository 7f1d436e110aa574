//! Files that a Raspberry Pi boots from: its firmware reads them by name from a FAT filesystem
//! (Raspberry Pi documentation, "The boot folder" and "config.txt").
//!
//! ```text
//! bootcode.bin start*.elf fixup*.dat    firmware; the Pi 5 has it on board
//! config.txt                            its configuration
//! bcm2*.dtb overlays/                   device trees, of which it takes the one of the board
//! kernel8.img initrd.img cmdline.txt    the system
//! ```

use extents::Extents;
use tree::{Kind, Tree};

use super::Error;
use super::boot_loader::Bootable;
use super::files::{empty, put, text};
use crate::kernel;

/// Directories of device trees in the root filesystem, as in LinuxKit's kernels.
const DEVICE_TREES: &str = "boot/dtb/broadcom/";
const OVERLAYS: &str = "boot/dtb/overlays/";

impl Bootable<'_> {
    /// Collects the files of an SD card; `complete` is the root filesystem with the kernel's device
    /// trees.
    ///
    /// # Errors
    /// A kernel without device trees, and missing firmware.
    pub fn sd_card_files(&self, complete: &Tree) -> Result<Tree, Error> {
        let time = self.options.time;
        let mut files = empty(time);
        for (name, content) in self.boot_files.raspberry_pi()? {
            put(&mut files, &name, content, time)?;
        }
        let mut upstream = None;
        for named in complete.walk() {
            let path = tree::show(&named.path);
            let Kind::File(content) = &named.node.kind else {
                continue;
            };
            if let Some(name) = path.strip_prefix(DEVICE_TREES).filter(|name| name.ends_with(".dtb")) {
                put(&mut files, name, content.clone(), time)?;
                upstream = Some(upstream.unwrap_or(true) && !name.starts_with("bcm2710-"));
            } else if let Some(name) = path.strip_prefix(OVERLAYS) {
                put(&mut files, &format!("overlays/{name}"), content.clone(), time)?;
            }
        }
        let upstream = upstream.ok_or(Error::DeviceTrees(DEVICE_TREES))?;
        let kernel = kernel::decompressed(&self.parts.require_kernel()?)?;
        put(&mut files, "kernel8.img", kernel, time)?;
        let initrd = self.parts.combined_initrd();
        put(&mut files, "config.txt", config(upstream, initrd.is_some()), time)?;
        if let Some(initrd) = initrd {
            put(&mut files, "initrd.img", initrd, time)?;
        }
        let cmdline = self.parts.cmdline_text();
        let arguments: Vec<&str> = cmdline.split_whitespace().collect();
        let cmdline = text(format!("{}\n", arguments.join(" ")));
        put(&mut files, "cmdline.txt", cmdline, time)?;
        Ok(files)
    }
}

/// Writes `config.txt`.
fn config(upstream: bool, initrd: bool) -> Extents {
    let mut config = String::from("arm_64bit=1\nenable_uart=1\nkernel=kernel8.img\n");
    if initrd {
        // The one setting without an equals sign.
        config.push_str("initramfs initrd.img followkernel\n");
    }
    if upstream {
        // Device trees have the names that Linux gives them, not those of Raspberry Pi's kernel.
        config.push_str("upstream_kernel=1\n");
    }
    text(config)
}
