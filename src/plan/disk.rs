//! Disks that boot.
//!
//! ```text
//! BIOS       MBR │ FAT: ldlinux.sys ldlinux.c32 syslinux.cfg kernel initrd.img
//! UEFI       GPT │ ESP: EFI/BOOT/BOOTX64.EFI, a unified kernel image
//! both       GPT │ ESP: the files for BIOS, and systemd-boot with an entry for the kernel
//! extlinux   MBR │ ext4: the root filesystem, boot/ with kernel, initrd.img and extlinux
//! SD card    MBR │ FAT: the files that a Raspberry Pi reads (`raspberry_pi.rs`)
//! ```
//!
//! A root filesystem that is not in the initrd has the second partition.

use disk::{Architecture, DiskLayout, Partition, PartitionType, Uuid};
use extents::Extents;
use syslinux::Run;
use tree::{Time, Tree};

use super::Error;
use super::boot_loader::{BOOT, Bootable, TOP};
use super::files::{empty, fat_options, put};
use super::formats::{Firmware, Table};
use crate::arch::Arch;
use crate::content_id::ContentId;

/// Free space in the filesystem of an SD card, in bytes: people edit config.txt on the card.
const SD_CARD_FREE: u64 = 16 << 20;

/// Sectors before the first partition.
const HIDDEN_SECTORS: u32 = (disk::ALIGNMENT / disk::SECTOR) as u32;

/// Disk, and the identifier from which the identifiers in its tables are derived.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Table and partitions.
    pub layout: DiskLayout,
    /// Identifier.
    pub id: ContentId,
}

/// A root filesystem for a partition.
#[derive(Clone, Debug)]
pub struct RootPartition {
    /// Image of the filesystem.
    pub content: Extents,
    /// Identifier of the root filesystem, from which those of the disk are derived.
    pub id: ContentId,
}

/// Returns the options of a FAT filesystem in the first partition.
fn boot_options(time: i64) -> fat::Options {
    let mut options = fat_options("BOOT", time);
    options.kind = Some(fat::Type::Fat32);
    options.hidden_sectors = HIDDEN_SECTORS;
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

impl Bootable<'_> {
    /// Plans the FAT filesystem that firmware or syslinux boots from.
    fn boot_volume(&self, firmware: Firmware) -> Result<Extents, Error> {
        let time = self.options.time;
        let mut files = empty(time);
        let ldlinux = firmware.bios.then(|| self.boot_files.ldlinux()).transpose()?;
        if let Some(ldlinux) = &ldlinux {
            put(&mut files, "LDLINUX.SYS", Extents::from_bytes(ldlinux.file()), time)?;
            let module = self.boot_files.syslinux("syslinux/modules/bios/ldlinux.c32")?;
            put(&mut files, "LDLINUX.C32", module, time)?;
            put(&mut files, "syslinux.cfg", self.syslinux_cfg(TOP)?, time)?;
            self.put_kernel(&mut files, TOP)?;
        }
        if firmware.efi && firmware.bios {
            // The kernel is stored once; systemd-boot loads it as syslinux does.
            self.put_systemd_boot(&mut files)?;
        } else if firmware.efi {
            put(&mut files, &self.efi_path(), self.uki()?, time)?;
        }
        let mut options = boot_options(time);
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
        Ok(volume)
    }

    /// Plans a disk to boot from, with a partition for a root filesystem that is not in the initrd.
    ///
    /// # Errors
    /// Missing boot loaders, and content that a filesystem cannot store.
    pub fn disk(&self, table: Table, firmware: Firmware, root: Option<RootPartition>) -> Result<Disk, Error> {
        let volume = self.boot_volume(firmware)?;
        let id = match &root {
            Some(root) => root.id,
            None => ContentId::from_content(&volume)?,
        };
        let (table, boot_code) = match table {
            Table::Mbr => (mbr(&id), "syslinux/mbr/mbr.bin"),
            Table::Gpt => (gpt(&id), "syslinux/mbr/gptmbr.bin"),
        };
        let mut layout = DiskLayout::new(table);
        if firmware.bios {
            layout.boot_code = self.boot_files.boot_code(boot_code)?;
        }
        let mut boot = partition(boot_type(firmware), "boot", uuid(&id, "partition"), volume);
        boot.bootable = firmware.bios;
        layout.partitions.push(boot);
        if let Some(root) = root {
            let kind = PartitionType::Root(architecture(self.options.arch));
            layout
                .partitions
                .push(partition(kind, "root", uuid(&id, "root"), root.content));
        }
        Ok(Disk { layout, id })
    }

    /// Plans a disk with one ext4 filesystem that has the root filesystem, kernel and extlinux.
    ///
    /// # Errors
    /// Missing boot loaders, and content that ext4 cannot store.
    pub fn extlinux(&self, mut files: Tree, id: ContentId) -> Result<Disk, Error> {
        let time = self.options.time;
        let ldlinux = self.boot_files.ldlinux()?;
        let system = format!("{BOOT}ldlinux.sys");
        put(&mut files, &system, Extents::from_bytes(ldlinux.file()), time)?;
        let module = self.boot_files.syslinux("syslinux/modules/bios/ldlinux.c32")?;
        put(&mut files, &format!("{BOOT}ldlinux.c32"), module, time)?;
        let config = self.syslinux_cfg(BOOT)?;
        put(&mut files, &format!("{BOOT}extlinux.conf"), config, time)?;
        self.put_kernel(&mut files, BOOT)?;
        let mut options = ext4::Options::default();
        options.label = "root".into();
        options.uuid = Some(uuid(&id, "filesystem"));
        options.time = Time::from_seconds(time);
        options.boot = true;
        options.immutable = vec![system.clone().into_bytes()];
        let image = ext4::plan(&files, &options)?;
        let runs = runs(&image, &files, system.as_bytes(), ext4::BLOCK);
        let mut volume = image.into_extents();
        let directory = format!("/{}", BOOT.trim_end_matches('/'));
        ldlinux.install_ext(&mut volume, &runs, &directory, HIDDEN_SECTORS)?;
        let mut root = partition(PartitionType::Linux, "root", uuid(&id, "root"), volume);
        root.bootable = true;
        let mut layout = DiskLayout::new(mbr(&id));
        layout.boot_code = self.boot_files.boot_code("syslinux/mbr/mbr.bin")?;
        layout.partitions.push(root);
        Ok(Disk { layout, id })
    }
}

/// Plans an SD card with one FAT filesystem: a Raspberry Pi reads it without boot code.
///
/// # Errors
/// Files that FAT cannot store.
pub fn sd_card(files: &Tree, time: i64) -> Result<Disk, Error> {
    let mut options = boot_options(time);
    options.size = Some(fat::plan(files, &options)?.into_extents().len() + SD_CARD_FREE);
    let volume = fat::plan(files, &options)?.into_extents();
    let id = ContentId::from_content(&volume)?;
    let mut layout = DiskLayout::new(mbr(&id));
    layout.partitions.push(partition(
        PartitionType::BasicData,
        "boot",
        uuid(&id, "partition"),
        volume,
    ));
    Ok(Disk { layout, id })
}

/// Maximum length of a disk with an MBR, in bytes: sector numbers have 32 bits.
pub const MAX_MBR_LEN: u64 = u32::MAX as u64 * disk::SECTOR;

/// Computes the minimum length of a layout's disk in bytes: the length of a disk without files.
///
/// # Errors
/// Partitions that the table cannot hold.
pub fn min_len(table: Table, unit: u64, time: i64) -> Result<u64, Error> {
    let id = ContentId::from_content(&Extents::new())?;
    let table = match table {
        Table::Mbr => mbr(&id),
        Table::Gpt => gpt(&id),
    };
    let volume = fat::plan(&empty(time), &boot_options(time))?.into_extents();
    let mut layout = DiskLayout::new(table);
    layout
        .partitions
        .push(partition(PartitionType::BasicData, "boot", Uuid::nil(), volume));
    Ok(layout.place(None, unit)?.len)
}

/// Returns the type of the partition that firmware boots from.
fn boot_type(firmware: Firmware) -> PartitionType {
    if firmware.efi {
        PartitionType::Esp
    } else {
        PartitionType::BasicData
    }
}

fn mbr(id: &ContentId) -> disk::Table {
    disk::Table::Mbr {
        signature: id.number("disk"),
    }
}

fn gpt(id: &ContentId) -> disk::Table {
    disk::Table::Gpt { guid: uuid(id, "disk") }
}

fn uuid(id: &ContentId, purpose: &str) -> Uuid {
    Uuid::from_u128(id.uuid(purpose))
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
