//! ISO images that boot, and that are disks as well.
//!
//! ```text
//! boot/kernel boot/initrd.img isolinux/   BIOS
//! hidden ESP with a unified kernel image  UEFI
//! ```
//!
//! For both, the files in `boot/` are parts of the unified kernel image, and stored once.

use extents::Extents;
use iso9660::{BootEntry, BootImage, Hybrid};
use tree::{Time, Tree};

use super::Error;
use super::boot_loader::{BOOT, Bootable};
use super::files::{empty, fat_options, put};
use super::formats::Firmware;

impl Bootable<'_> {
    /// Plans the EFI system partition of an ISO image.
    fn esp(&self) -> Result<Extents, Error> {
        let time = self.options.time;
        let mut files = empty(time);
        put(&mut files, &self.efi_path(), self.uki()?, time)?;
        let mut options = fat_options("ESP", time);
        // So that kernel and initrd in it can be files of the ISO image as well.
        options.min_cluster = iso9660::BLOCK;
        Ok(fat::plan(&files, &options)?.into_extents())
    }

    /// Plans an ISO image with `files` besides those that boot it.
    ///
    /// # Errors
    /// Missing boot loaders, and files that ISO 9660 cannot store.
    pub fn iso(&self, firmware: Firmware, volume_id: &str, mut files: Tree) -> Result<Extents, Error> {
        let time = self.options.time;
        let mut boot = Vec::new();
        let mut boot_code = Vec::new();
        if firmware.bios {
            self.put_kernel(&mut files, BOOT)?;
            for (name, content) in [
                ("isolinux.bin", self.boot_files.syslinux("ISOLINUX/isolinux.bin")?),
                (
                    "ldlinux.c32",
                    self.boot_files.syslinux("syslinux/modules/bios/ldlinux.c32")?,
                ),
                ("isolinux.cfg", self.syslinux_cfg(BOOT)?),
            ] {
                put(&mut files, &format!("isolinux/{name}"), content, time)?;
            }
            boot.push(BootEntry::isolinux(BootImage::Path(b"isolinux/isolinux.bin".to_vec())));
            boot_code = self.boot_files.boot_code("ISOLINUX/isohdpfx.bin")?;
        }
        if firmware.efi {
            boot.push(BootEntry::efi(BootImage::Hidden(self.esp()?)));
        }
        // Some BIOSes want an active partition, which a GPT does not have.
        let table = if firmware.efi {
            iso9660::Table::Gpt
        } else {
            iso9660::Table::Mbr
        };
        let mut options = iso9660::Options::default();
        options.volume_id = volume_id.into();
        options.time = Time::from_seconds(time);
        options.boot = boot;
        options.hybrid = Some(Hybrid {
            table,
            boot_code,
            id: None,
        });
        Ok(iso9660::plan(&files, &options)?.into_extents())
    }
}
