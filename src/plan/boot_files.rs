//! Boot loaders, out of the images that have them.

use std::cell::OnceCell;

use extents::Extents;
use syslinux::Ldlinux;
use tree::{Kind, Tree};

use super::Error;
use crate::arch::Arch;

/// Which boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// syslinux, for a BIOS: the image `pkg/syslinux`.
    Bios,
    /// systemd's stub and menu, for UEFI: the image `pkg/systemd-boot`.
    Efi,
    /// moby's init, for an initrd that mounts a root filesystem: the image `pkg/init`.
    Init,
    /// The firmware of Raspberry Pis: the image `pkg/rpi-firmware`.
    RaspberryPi,
}

/// Brings the files of the image of a boot loader, or says why there are none.
pub type Find<'a> = dyn Fn(Loader) -> Result<Tree, String> + 'a;

/// The boot loaders of a build, looked for when a format needs them.
pub struct Loaders<'a> {
    find: &'a Find<'a>,
    bios: OnceCell<Tree>,
    efi: OnceCell<Tree>,
    init: OnceCell<Tree>,
    rpi: OnceCell<Tree>,
}

impl<'a> Loaders<'a> {
    /// None yet.
    pub fn new(find: &'a Find<'a>) -> Self {
        Loaders {
            find,
            bios: OnceCell::new(),
            efi: OnceCell::new(),
            init: OnceCell::new(),
            rpi: OnceCell::new(),
        }
    }

    fn files(&self, loader: Loader) -> Result<&Tree, Error> {
        let cell = match loader {
            Loader::Bios => &self.bios,
            Loader::Efi => &self.efi,
            Loader::Init => &self.init,
            Loader::RaspberryPi => &self.rpi,
        };
        if let Some(found) = cell.get() {
            return Ok(found);
        }
        let found = (self.find)(loader).map_err(Error::Loader)?;
        Ok(cell.get_or_init(|| found))
    }

    /// A file of an image.
    fn file(&self, loader: Loader, path: &str) -> Result<Extents, Error> {
        let files = self.files(loader)?;
        match files.lookup_following(path.as_bytes()).map(|id| &files.node(id).kind) {
            Some(Kind::File(content)) => Ok(content.clone()),
            _ => Err(Error::Loader(format!(
                "the image of the boot loader has no file {path}\nhelp: it is to have what pkg/syslinux, pkg/systemd-boot and pkg/init have"
            ))),
        }
    }

    /// A file of syslinux below `usr/lib`.
    ///
    /// # Errors
    /// An image or a file that is not there.
    pub fn syslinux(&self, path: &str) -> Result<Extents, Error> {
        self.file(Loader::Bios, &format!("usr/lib/{path}"))
    }

    /// The same as bytes: boot code is small.
    ///
    /// # Errors
    /// As [`Loaders::syslinux`], and what reading fails with.
    pub fn boot_code(&self, path: &str) -> Result<Vec<u8>, Error> {
        Ok(self.syslinux(path)?.to_vec()?)
    }

    /// syslinux for filesystems.
    ///
    /// # Errors
    /// As [`Loaders::boot_code`], and a loader that is damaged.
    pub fn ldlinux(&self) -> Result<Ldlinux, Error> {
        let (sector, system) = (
            self.boot_code("syslinux/ldlinux.bss")?,
            self.boot_code("syslinux/ldlinux.sys")?,
        );
        Ok(Ldlinux::new(&sector, &system)?)
    }

    /// The init of an initrd.
    ///
    /// # Errors
    /// An image or a file that is not there.
    pub fn init(&self) -> Result<Extents, Error> {
        self.file(Loader::Init, "init")
    }

    /// The files of a Raspberry Pi's firmware by name.
    ///
    /// # Errors
    /// An image that is not there, or has none.
    pub fn rpi(&self) -> Result<Vec<(String, Extents)>, Error> {
        const FOLDER: &str = "usr/lib/raspi-firmware/";
        let items = self.files(Loader::RaspberryPi)?.walk();
        let files: Vec<(String, Extents)> = items
            .filter_map(|item| match &item.node.kind {
                Kind::File(content) => Some((tree::show(&item.path).strip_prefix(FOLDER)?.to_owned(), content.clone())),
                _ => None,
            })
            .collect();
        match files.is_empty() {
            true => Err(Error::Loader(format!(
                "the image of the firmware has no files in {FOLDER}\nhelp: it is to have what pkg/rpi-firmware has"
            ))),
            false => Ok(files),
        }
    }

    /// systemd's stub (`linux` ... `.efi.stub`) or menu (`systemd-boot` ... `.efi`) for an architecture.
    ///
    /// # Errors
    /// An image or a file that is not there.
    pub fn efi(&self, name: &str, arch: Arch) -> Result<Extents, Error> {
        let suffix = arch.efi_suffix().unwrap_or_default();
        let file = match name {
            "stub" => format!("linux{suffix}.efi.stub"),
            _ => format!("systemd-boot{suffix}.efi"),
        };
        self.file(Loader::Efi, &format!("usr/lib/systemd/boot/efi/{file}"))
    }
}
