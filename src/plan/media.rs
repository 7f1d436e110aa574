//! Media that start machines: a payload and boot loaders in filesystems, on a disk or a CD.
//!
//! ```text
//! disk, BIOS   MBR │ FAT: ldlinux.sys ldlinux.c32 syslinux.cfg kernel initrd.img
//! disk, UEFI   GPT │ ESP: EFI/BOOT/BOOTX64.EFI, a unified kernel image
//! disk, both   GPT │ ESP: the files for a BIOS, and systemd-boot with an entry for the same kernel
//! disk, ext4   MBR │ ext4: the root filesystem, boot/ with kernel, initrd.img and extlinux
//! card         MBR │ FAT: what a Raspberry Pi reads (`rpi.rs`)
//! CD           boot/kernel boot/initrd.img isolinux/ │ hidden ESP with a unified kernel image
//! ```
//!
//! On a CD for both firmwares kernel and initrd are the bytes that the unified kernel image has.
//!
//! A root filesystem that is not in the initrd is in a second partition of a disk, and among the
//! files of a CD.

use disk::{Architecture, DiskLayout, Partition, PartitionType, Uuid};
use extents::Extents;
use iso9660::{BootEntry, BootImage, Hybrid};
use syslinux::{Ldlinux, Run};
use tree::{Kind, Meta, Time, Tree};

use super::Error;
use super::boot_files::Loaders;
use super::formats::{Firmware, Table};
use super::kernel_initrd::Payload;
use crate::arch::Arch;
use crate::content_id::ContentId;
use crate::kernel;
use crate::time;

/// What syslinux takes as a command line, in bytes (core/cmdline.inc, `max_cmd_len`).
const LONGEST_CMDLINE: usize = 2047;

/// What media are made of.
pub struct Media<'a> {
    /// What is started.
    pub payload: &'a Payload,
    /// What starts it.
    pub loaders: &'a Loaders<'a>,
    /// Architecture.
    pub arch: Arch,
    /// How many seconds a menu waits.
    pub timeout: u32,
    /// The length of a disk in bytes; otherwise as long as need be.
    pub size: Option<u64>,
}

/// A root filesystem for a partition of its own.
pub struct OnDisk {
    /// The filesystem.
    pub content: Extents,
    /// What the disk and its partitions are known by.
    pub identity: ContentId,
}

/// What is left free in the filesystem of a card, in bytes: people change config.txt on the card.
const CARD_ROOM: u64 = 16 << 20;

/// Where syslinux finds kernel and initrd.
const FOLDER_OF_DISK: &str = "";
const FOLDER_OF_ROOT: &str = "boot/";

/// Puts a file of the fixed time.
pub fn put(tree: &mut Tree, path: &str, content: Extents) -> Result<(), Error> {
    let meta = Meta::new(0o644, Time::from_seconds(time::fixed()));
    let folders = Meta::new(0o755, Time::from_seconds(time::fixed()));
    let put = tree.insert(path.as_bytes(), meta, Kind::File(content), &folders);
    put.map(drop).map_err(|error| Error::Read(std::io::Error::other(error)))
}

/// A file of text.
pub fn text(text: impl Into<String>) -> Extents {
    Extents::from_bytes(text.into().into_bytes())
}

/// A tree of the fixed time.
pub fn empty() -> Tree {
    Tree::new(Meta::new(0o755, Time::from_seconds(time::fixed())))
}

impl Media<'_> {
    fn kernel(&self) -> Result<Extents, Error> {
        self.payload.kernel.clone().ok_or(Error::NoKernel)
    }

    /// The configuration of syslinux and its relatives, kernel and initrd in a folder.
    fn syslinux_cfg(&self, folder: &str) -> Result<Extents, Error> {
        let cmdline = self.payload.cmdline_text()?;
        if cmdline.len() > LONGEST_CMDLINE {
            return Err(Error::Cmdline { len: cmdline.len() });
        }
        let wait = match self.timeout {
            0 => String::new(),
            // In tenths of a second.
            seconds => format!("PROMPT 1\nTIMEOUT {}\n", seconds.saturating_mul(10)),
        };
        let initrd = match self.payload.combined_initrd() {
            Some(_) => format!("    INITRD /{folder}initrd.img\n"),
            None => String::new(),
        };
        Ok(text(format!(
            "DEFAULT linux\n{wait}LABEL linux\n    KERNEL /{folder}kernel\n{initrd}    APPEND {cmdline}\n"
        )))
    }

    /// Puts kernel and initrd into a folder.
    fn put_payload(&self, files: &mut Tree, folder: &str) -> Result<(), Error> {
        put(files, &format!("{folder}kernel"), self.kernel()?)?;
        match self.payload.combined_initrd() {
            Some(initrd) => put(files, &format!("{folder}initrd.img"), initrd),
            None => Ok(()),
        }
    }

    /// The unified kernel image.
    pub fn uki(&self) -> Result<Extents, Error> {
        let stub = self.loaders.efi("stub", self.arch)?;
        let mut parts = uki::Parts::default();
        parts.kernel = kernel::program(&self.kernel()?).map_err(Error::Kernel)?;
        parts.initrd = self.payload.combined_initrd().unwrap_or_default();
        parts.cmdline = self.payload.cmdline_text()?;
        parts.os_release = self.payload.os_release.clone();
        parts.uname = self.payload.kernel_version()?.unwrap_or_default();
        Ok(uki::plan(&stub, &parts)?)
    }

    /// Where UEFI looks for what to start on a medium of its own accord (UEFI 2.10, 3.5.1.1).
    fn efi_path(&self) -> String {
        format!(
            "EFI/BOOT/BOOT{}.EFI",
            self.arch.efi_suffix().unwrap_or_default().to_uppercase()
        )
    }

    /// What is in the filesystem of a disk.
    fn disk_files(&self, firmware: Firmware, ldlinux: Option<&Ldlinux>) -> Result<Tree, Error> {
        let mut files = empty();
        if let Some(ldlinux) = ldlinux {
            put(&mut files, "LDLINUX.SYS", Extents::from_bytes(ldlinux.file()))?;
            put(
                &mut files,
                "LDLINUX.C32",
                self.loaders.syslinux("syslinux/modules/bios/ldlinux.c32")?,
            )?;
            put(&mut files, "syslinux.cfg", self.syslinux_cfg(FOLDER_OF_DISK)?)?;
            self.put_payload(&mut files, FOLDER_OF_DISK)?;
        }
        if firmware.efi && ldlinux.is_none() {
            put(&mut files, &self.efi_path(), self.uki()?)?;
        } else if firmware.efi {
            // The kernel is there once; the menu of UEFI finds it as syslinux does.
            put(&mut files, &self.efi_path(), self.loaders.efi("menu", self.arch)?)?;
            let (cmdline, version) = (self.payload.cmdline_text()?, self.payload.kernel_version()?);
            let version = version
                .map(|version| format!("version {version}\n"))
                .unwrap_or_default();
            let title = self.payload.title();
            let initrd = match self.payload.combined_initrd() {
                Some(_) => "initrd /initrd.img\n",
                None => "",
            };
            let entry = format!("title {title}\n{version}linux /kernel\n{initrd}options {cmdline}\n");
            put(&mut files, "loader/entries/linux.conf", text(entry))?;
            let conf = format!("timeout {}\ndefault linux.conf\neditor no\n", self.timeout);
            put(&mut files, "loader/loader.conf", text(conf))?;
        }
        Ok(files)
    }

    /// A disk, with what it is known by. Its length is a multiple of `unit` bytes.
    pub fn disk(
        &self,
        table: Table,
        firmware: Firmware,
        unit: u64,
        root: Option<OnDisk>,
    ) -> Result<(Extents, ContentId), Error> {
        let ldlinux = firmware.bios.then(|| self.loaders.ldlinux()).transpose()?;
        let files = self.disk_files(firmware, ldlinux.as_ref())?;
        let mut options = fat_options("BOOT");
        options.kind = Some(fat::Type::Fat32);
        // Start of the only partition.
        options.hidden_sectors = (disk::ALIGNMENT / disk::SECTOR) as u32;
        options.system_files = vec![b"LDLINUX.SYS".to_vec()];
        let image = fat::plan(&files, &options)?;
        let runs = runs(&image, &files, b"LDLINUX.SYS", disk::SECTOR);
        let mut volume = image.into_extents();
        if let Some(ldlinux) = ldlinux {
            ldlinux.install_fat(&mut volume, &runs, "")?;
            // syslinux leaves the backup as it was, and every checker complains of it.
            let boot_sector = volume.part(0, disk::SECTOR);
            volume.put(fat::BACKUP_SECTOR * fat::SECTOR, &boot_sector);
        }
        let identity = match &root {
            Some(root) => root.identity,
            None => ContentId::of(&volume)?,
        };
        let (table, code) = match table {
            Table::Mbr => (mbr(&identity), "syslinux/mbr/mbr.bin"),
            Table::Gpt => (
                disk::Table::Gpt {
                    guid: uuid(&identity, "disk"),
                },
                "syslinux/mbr/gptmbr.bin",
            ),
        };
        let kind = if firmware.efi {
            PartitionType::Esp
        } else {
            PartitionType::BasicData
        };
        let mut layout = DiskLayout::new(table);
        let mut boot = partition(kind, "boot", uuid(&identity, "partition"), volume);
        boot.bootable = firmware.bios;
        layout.partitions.push(boot);
        if let Some(root) = root {
            let kind = PartitionType::Root(architecture(self.arch));
            let root = partition(kind, "root", uuid(&identity, "root"), root.content);
            layout.partitions.push(root);
        }
        if firmware.bios {
            layout.boot_code = self.loaders.boot_code(code)?;
        }
        Ok((disk::plan(&layout, self.size, unit)?, identity))
    }

    /// A disk with one ext4 filesystem that has the root filesystem and what starts it.
    pub fn extlinux(&self, mut files: Tree, identity: &ContentId, unit: u64) -> Result<Extents, Error> {
        let ldlinux = self.loaders.ldlinux()?;
        let system = format!("{FOLDER_OF_ROOT}ldlinux.sys");
        put(&mut files, &system, Extents::from_bytes(ldlinux.file()))?;
        put(
            &mut files,
            &format!("{FOLDER_OF_ROOT}ldlinux.c32"),
            self.loaders.syslinux("syslinux/modules/bios/ldlinux.c32")?,
        )?;
        let config = self.syslinux_cfg(FOLDER_OF_ROOT)?;
        put(&mut files, &format!("{FOLDER_OF_ROOT}extlinux.conf"), config)?;
        self.put_payload(&mut files, FOLDER_OF_ROOT)?;
        let mut options = ext4::Options::default();
        options.label = "root".into();
        options.uuid = Some(uuid(identity, "filesystem"));
        options.time = Time::from_seconds(time::fixed());
        options.boot = true;
        options.immutable = vec![system.clone().into_bytes()];
        let image = ext4::plan(&files, &options)?;
        let runs = runs(&image, &files, system.as_bytes(), ext4::BLOCK);
        let mut volume = image.into_extents();
        let hidden = (disk::ALIGNMENT / disk::SECTOR) as u32;
        ldlinux.install_ext(
            &mut volume,
            &runs,
            &format!("/{}", FOLDER_OF_ROOT.trim_end_matches('/')),
            hidden,
        )?;
        let mut root = partition(PartitionType::Linux, "root", uuid(identity, "root"), volume);
        root.bootable = true;
        let mut layout = DiskLayout::new(mbr(identity));
        layout.boot_code = self.loaders.boot_code("syslinux/mbr/mbr.bin")?;
        layout.partitions.push(root);
        Ok(disk::plan(&layout, self.size, unit)?)
    }

    /// A disk with one FAT filesystem that no boot code is for: a Raspberry Pi reads it by itself.
    pub fn card(&self, files: &Tree) -> Result<Extents, Error> {
        let mut options = fat_options("BOOT");
        options.kind = Some(fat::Type::Fat32);
        options.hidden_sectors = (disk::ALIGNMENT / disk::SECTOR) as u32;
        options.size = Some(fat::plan(files, &options)?.into_extents().len() + CARD_ROOM);
        let volume = fat::plan(files, &options)?.into_extents();
        let identity = ContentId::of(&volume)?;
        let boot = partition(PartitionType::BasicData, "boot", uuid(&identity, "partition"), volume);
        let mut layout = DiskLayout::new(mbr(&identity));
        layout.partitions.push(boot);
        Ok(disk::plan(&layout, self.size, disk::SECTOR)?)
    }

    /// The ESP of a CD.
    fn esp(&self) -> Result<Extents, Error> {
        let mut files = empty();
        put(&mut files, &self.efi_path(), self.uki()?)?;
        let mut options = fat_options("ESP");
        // So that kernel and initrd in it can be files of the ISO as well.
        options.min_cluster = iso9660::BLOCK;
        Ok(fat::plan(&files, &options)?.into_extents())
    }

    /// A CD that is a disk as well, with more files.
    pub fn iso(&self, firmware: Firmware, volume_id: &str, mut files: Tree) -> Result<Extents, Error> {
        let mut boot = Vec::new();
        let mut boot_code = Vec::new();
        if firmware.bios {
            self.put_payload(&mut files, FOLDER_OF_ROOT)?;
            put(
                &mut files,
                "isolinux/isolinux.bin",
                self.loaders.syslinux("ISOLINUX/isolinux.bin")?,
            )?;
            put(
                &mut files,
                "isolinux/ldlinux.c32",
                self.loaders.syslinux("syslinux/modules/bios/ldlinux.c32")?,
            )?;
            put(&mut files, "isolinux/isolinux.cfg", self.syslinux_cfg(FOLDER_OF_ROOT)?)?;
            boot.push(BootEntry::isolinux(BootImage::Path(b"isolinux/isolinux.bin".to_vec())));
            boot_code = self.loaders.boot_code("ISOLINUX/isohdpfx.bin")?;
        }
        if firmware.efi {
            boot.push(BootEntry::efi(BootImage::Hidden(self.esp()?)));
        }
        let mut options = iso9660::Options::default();
        options.volume_id = volume_id.into();
        options.time = Time::from_seconds(time::fixed());
        options.boot = boot;
        options.hybrid = Some(Hybrid {
            // Some BIOSes require an active partition, which a GPT does not have.
            table: if firmware.efi {
                iso9660::Table::Gpt
            } else {
                iso9660::Table::Mbr
            },
            boot_code,
            id: None,
        });
        Ok(iso9660::plan(&files, &options)?.into_extents())
    }
}

fn mbr(identity: &ContentId) -> disk::Table {
    disk::Table::Mbr {
        signature: identity.number("disk"),
    }
}

/// Options that all FAT filesystems share.
fn fat_options(label: &str) -> fat::Options {
    let mut options = fat::Options::default();
    options.label = label.into();
    options.time = Time::from_seconds(time::fixed());
    options.oem_name = *b"MOBY    ";
    options
}

/// Lists the sectors of a file in an image, rounded up to units of `unit` bytes.
fn runs(image: &tree::Image, files: &Tree, path: &[u8], unit: u64) -> Vec<Run> {
    let extents = files.lookup(path).map(|node| image.file_extents(node));
    let run = |extent: tree::FileExtent| Run {
        first: extent.physical / disk::SECTOR,
        count: extent.len.next_multiple_of(unit) / disk::SECTOR,
    };
    extents.into_iter().flatten().map(run).collect()
}

fn uuid(identity: &ContentId, what: &str) -> Uuid {
    Uuid::from_u128(identity.uuid(what))
}

fn partition(kind: PartitionType, label: &str, guid: Uuid, content: Extents) -> Partition {
    let mut partition = Partition::new(kind, content);
    partition.label = label.to_owned();
    partition.guid = guid;
    partition
}

fn architecture(arch: Arch) -> Architecture {
    match arch {
        Arch::Amd64 => Architecture::X86_64,
        Arch::Arm64 => Architecture::Arm64,
        Arch::Riscv64 => Architecture::Riscv64,
        Arch::S390x => Architecture::S390x,
    }
}
