//! Files of boot loaders and firmware, from the images that have them.

use std::collections::BTreeMap;

use extents::Extents;
use syslinux::Ldlinux;
use tree::{Kind, Tree};

use super::Error;
use crate::arch::Arch;
use crate::diagnostic::Diagnostics;

/// Boot loader, or other files that a boot needs besides the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loader {
    /// syslinux, for BIOS boot: the image `pkg/syslinux`.
    Bios,
    /// systemd's stub and menu, for UEFI boot: the image `pkg/systemd-boot`.
    Efi,
    /// moby's init, for an initrd that mounts a root filesystem: the image `pkg/init`.
    Init,
    /// Firmware of Raspberry Pis: the image `pkg/rpi-firmware`.
    RaspberryPi,
}

/// Files of a Raspberry Pi's firmware.
const RASPBERRY_PI: &str = "usr/lib/raspi-firmware/";

/// Files of the boot loaders of a build.
#[derive(Debug, Default)]
pub struct BootFiles(BTreeMap<Loader, Result<Tree, Diagnostics>>);

impl BootFiles {
    /// Adds the files of a loader, or the reason why there are none.
    pub fn insert(&mut self, loader: Loader, files: Result<Tree, Diagnostics>) {
        self.0.insert(loader, files);
    }

    fn files(&self, loader: Loader) -> Result<&Tree, Error> {
        match self.0.get(&loader) {
            Some(Ok(files)) => Ok(files),
            Some(Err(missing)) => Err(Error::MissingLoader(Box::new(missing.clone()))),
            None => Err(Error::UnresolvedLoader(loader)),
        }
    }

    fn file(&self, loader: Loader, path: &str) -> Result<Extents, Error> {
        let files = self.files(loader)?;
        match files.lookup_following(path.as_bytes()).map(|id| &files.node(id).kind) {
            Some(Kind::File(content)) => Ok(content.clone()),
            _ => Err(Error::LoaderFile(path.to_owned())),
        }
    }

    /// Returns a file of syslinux below `usr/lib`.
    ///
    /// # Errors
    /// A missing image or file.
    pub fn syslinux(&self, path: &str) -> Result<Extents, Error> {
        self.file(Loader::Bios, &format!("usr/lib/{path}"))
    }

    /// Reads boot code of syslinux, a file below `usr/lib`.
    ///
    /// # Errors
    /// A missing image or file, and an image that cannot be read.
    pub fn boot_code(&self, path: &str) -> Result<Vec<u8>, Error> {
        Ok(self.syslinux(path)?.to_vec()?)
    }

    /// Reads syslinux's loader for filesystems.
    ///
    /// # Errors
    /// A missing image or file, an image that cannot be read, and a loader that is corrupt.
    pub fn ldlinux(&self) -> Result<Ldlinux, Error> {
        let sector = self.boot_code("syslinux/ldlinux.bss")?;
        let system = self.boot_code("syslinux/ldlinux.sys")?;
        Ok(Ldlinux::new(&sector, &system)?)
    }

    /// Returns the init of an initrd that mounts a root filesystem.
    ///
    /// # Errors
    /// A missing image or file.
    pub fn init(&self) -> Result<Extents, Error> {
        self.file(Loader::Init, "init")
    }

    /// Returns the files of a Raspberry Pi's firmware, by name.
    ///
    /// # Errors
    /// A missing image, or one without firmware.
    pub fn raspberry_pi(&self) -> Result<Vec<(String, Extents)>, Error> {
        let items = self.files(Loader::RaspberryPi)?.walk();
        let files: Vec<(String, Extents)> = items
            .filter_map(|named| match &named.node.kind {
                Kind::File(content) => Some((
                    tree::show(&named.path).strip_prefix(RASPBERRY_PI)?.to_owned(),
                    content.clone(),
                )),
                _ => None,
            })
            .collect();
        if files.is_empty() {
            return Err(Error::Firmware(RASPBERRY_PI));
        }
        Ok(files)
    }

    /// Returns systemd's EFI stub (`linux*.efi.stub`) for an architecture.
    ///
    /// # Errors
    /// A missing image or file.
    pub fn efi_stub(&self, arch: Arch) -> Result<Extents, Error> {
        self.efi(&format!("linux{}.efi.stub", arch.efi_suffix().unwrap_or_default()))
    }

    /// Returns systemd's boot menu (`systemd-boot*.efi`) for an architecture.
    ///
    /// # Errors
    /// A missing image or file.
    pub fn efi_menu(&self, arch: Arch) -> Result<Extents, Error> {
        self.efi(&format!("systemd-boot{}.efi", arch.efi_suffix().unwrap_or_default()))
    }

    fn efi(&self, name: &str) -> Result<Extents, Error> {
        self.file(Loader::Efi, &format!("usr/lib/systemd/boot/efi/{name}"))
    }
}
