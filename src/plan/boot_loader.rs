//! Configuration of boot loaders, and the files that they load.

use extents::Extents;
use tree::Tree;

use super::boot_files::BootFiles;
use super::files::{put, text};
use super::kernel_initrd::BootParts;
use super::{Error, Options};
use crate::kernel;

/// Maximum length of a command line that syslinux passes on, in bytes (core/cmdline.inc, `max_cmd_len`).
pub const MAX_CMDLINE: usize = 2047;

/// Directory of kernel and initrd on a volume that is only for booting.
pub const TOP: &str = "";
/// Directory of kernel and initrd beside a root filesystem.
pub const BOOT: &str = "boot/";

/// Parts to boot, and the boot loaders that load them.
#[derive(Clone, Copy, Debug)]
pub struct Bootable<'a> {
    /// Kernel, initrd and command line.
    pub parts: &'a BootParts,
    /// Files of boot loaders.
    pub boot_files: &'a BootFiles,
    /// Options of the outputs.
    pub options: &'a Options,
}

impl Bootable<'_> {
    /// Writes the configuration of syslinux and its relatives, for kernel and initrd in `directory`.
    ///
    /// # Errors
    /// A command line that is too long.
    pub fn syslinux_cfg(&self, directory: &str) -> Result<Extents, Error> {
        let cmdline = self.parts.cmdline_text();
        if cmdline.len() > MAX_CMDLINE {
            return Err(Error::Cmdline { len: cmdline.len() });
        }
        let wait = match self.options.timeout {
            0 => String::new(),
            // In tenths of a second.
            seconds => format!("PROMPT 1\nTIMEOUT {}\n", seconds.saturating_mul(10)),
        };
        let initrd = match self.parts.combined_initrd() {
            Some(_) => format!("    INITRD /{directory}initrd.img\n"),
            None => String::new(),
        };
        Ok(text(format!(
            "DEFAULT linux\n{wait}LABEL linux\n    KERNEL /{directory}kernel\n{initrd}    APPEND {cmdline}\n"
        )))
    }

    /// Puts kernel and initrd into `directory`.
    ///
    /// # Errors
    /// A system without a kernel.
    pub fn put_kernel(&self, files: &mut Tree, directory: &str) -> Result<(), Error> {
        let kernel = self.parts.require_kernel()?;
        put(files, &format!("{directory}kernel"), kernel, self.options.time)?;
        match self.parts.combined_initrd() {
            Some(initrd) => put(files, &format!("{directory}initrd.img"), initrd, self.options.time),
            None => Ok(()),
        }
    }

    /// Plans the unified kernel image.
    ///
    /// # Errors
    /// A missing kernel or stub, and a kernel that is not an EFI executable.
    pub fn uki(&self) -> Result<Extents, Error> {
        let stub = self.boot_files.efi_stub(self.options.arch)?;
        let kernel = self.parts.require_kernel()?;
        let mut parts = uki::Parts::default();
        parts.kernel = kernel::program(&kernel)?;
        parts.initrd = self.parts.combined_initrd().unwrap_or_default();
        parts.cmdline = self.parts.cmdline_text();
        parts.os_release = self.parts.os_release.clone();
        parts.uname = self.parts.kernel_version()?.unwrap_or_default();
        Ok(uki::plan(&stub, &parts)?)
    }

    /// Returns the path that UEFI boots by default (UEFI 2.10, 3.5.1.1).
    pub fn efi_path(&self) -> String {
        let suffix = self.options.arch.efi_suffix().unwrap_or_default();
        format!("EFI/BOOT/BOOT{}.EFI", suffix.to_uppercase())
    }

    /// Puts systemd-boot, with an entry for the kernel at the top of the volume.
    ///
    /// # Errors
    /// A missing boot loader.
    pub fn put_systemd_boot(&self, files: &mut Tree) -> Result<(), Error> {
        let time = self.options.time;
        put(
            files,
            &self.efi_path(),
            self.boot_files.efi_menu(self.options.arch)?,
            time,
        )?;
        let version = self.parts.kernel_version()?;
        let version = version
            .map(|version| format!("version {version}\n"))
            .unwrap_or_default();
        let initrd = match self.parts.combined_initrd() {
            Some(_) => "initrd /initrd.img\n",
            None => "",
        };
        let (title, cmdline) = (self.parts.title(), self.parts.cmdline_text());
        let entry = format!("title {title}\n{version}linux /kernel\n{initrd}options {cmdline}\n");
        put(files, "loader/entries/linux.conf", text(entry), time)?;
        let timeout = self.options.timeout;
        let conf = format!("timeout {timeout}\ndefault linux.conf\neditor no\n");
        put(files, "loader/loader.conf", text(conf), time)
    }
}
