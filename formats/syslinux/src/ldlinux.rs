//! The loader: its checks, its patches and its installation (libinstaller/syslxmod.c, fs.c).

use extents::Extents;

use crate::patch::{Area, EXTENT_LEN, MAGIC, dword, put, word};
use crate::{Error, SECTOR, adv};

/// Boot sector and ldlinux.sys of one version of syslinux.
#[derive(Clone, Debug)]
pub struct Ldlinux {
    boot_sector: Vec<u8>,
    system: Vec<u8>,
    area: Area,
}

/// A run of adjacent sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First sector, counted from the start of the partition.
    pub first: u64,
    /// Number of sectors.
    pub count: u64,
}

/// Maximum length of an extent in bytes: the loader reads it into one segment of memory
/// (syslxmod.c, `generate_extents`).
const SEGMENT: u64 = 0x1_0000;

/// Bytes of a boot sector that belong to the filesystem: from behind the OEM name to the boot code
/// of FAT32 (syslxint.h, `FAT_bsCopyStart`), which syslinux takes for FAT12 and FAT16 too.
const BPB: std::ops::Range<usize> = 11..90;

impl Ldlinux {
    /// Checks a boot sector and an ldlinux.sys that were not installed yet.
    ///
    /// # Errors
    /// One of them is not a part of the loader, is corrupt, or has an unknown version.
    pub fn new(boot_sector: &[u8], system: &[u8]) -> Result<Ldlinux, Error> {
        let length = |part, expected, len| Error::Length { part, expected, len };
        let corrupt = |part, found| Error::Corrupt { part, found };
        if boot_sector.len() != SECTOR {
            return Err(length("the boot sector of syslinux", SECTOR, boot_sector.len()));
        }
        if !boot_sector.starts_with(b"\xeb\x58\x90SYSLINUX") || !boot_sector.ends_with(&[0x55, 0xaa]) {
            return Err(corrupt("the boot sector of syslinux", "its signatures are missing"));
        }
        if !system.starts_with(b"\r\nSYSLINUX") {
            return Err(corrupt("ldlinux.sys", "it does not begin with its name"));
        }
        if system.len() < 2 * SECTOR || !system.len().is_multiple_of(SECTOR) {
            return Err(length(
                "ldlinux.sys",
                system.len().next_multiple_of(SECTOR).max(2 * SECTOR),
                system.len(),
            ));
        }
        Ok(Ldlinux {
            area: Area::find(system)?,
            boot_sector: boot_sector.to_vec(),
            system: system.to_vec(),
        })
    }

    /// Returns the boot sector, without the bytes of a filesystem.
    pub fn boot_sector(&self) -> &[u8] {
        &self.boot_sector
    }

    /// Returns ldlinux.sys, not installed.
    pub fn system(&self) -> &[u8] {
        &self.system
    }

    /// Returns the initial content of the file `ldlinux.sys`. It has the final length; the
    /// installation replaces it once the sectors of the file are known.
    pub fn file(&self) -> Vec<u8> {
        [self.system.clone(), adv::empty()].concat()
    }

    /// Installs the loader on a FAT filesystem that has the file of [`Ldlinux::file`] in
    /// `directory` (empty for the root), at the sectors `runs`.
    ///
    /// # Errors
    /// A filesystem that syslinux does not read or that cannot be read; a file that is too short
    /// or too fragmented; a path that is too long.
    pub fn install_fat(&self, partition: &mut Extents, runs: &[Run], directory: &str) -> Result<(), Error> {
        let mut sector = vec![0; SECTOR];
        partition.read_exact_at(&mut sector, 0)?;
        check_fat(&sector)?;
        let mut code = self.boot_sector.clone();
        put(&mut code, BPB.start, sector.get(BPB).unwrap_or_default());
        self.install(partition, code, runs, directory)
    }

    /// Installs the loader on ext2, ext3 or ext4, which do not use the first two sectors. `directory`
    /// and `runs` are those of the file of [`Ldlinux::file`]; `hidden` is the sector of the disk at
    /// which the partition begins.
    ///
    /// # Errors
    /// A file that is too short or too fragmented, or a path that is too long.
    pub fn install_ext(
        &self,
        partition: &mut Extents,
        runs: &[Run],
        directory: &str,
        hidden: u32,
    ) -> Result<(), Error> {
        let mut code = self.boot_sector.clone();
        // extlinux/main.c, patch_file_and_bootblock: the fields of a BPB that the loader reads.
        let sectors = partition.len() / SECTOR as u64;
        put(&mut code, 11, &(SECTOR as u16).to_le_bytes());
        put(&mut code, 19, &u16::try_from(sectors).unwrap_or(0).to_le_bytes());
        put(&mut code, 24, &63u16.to_le_bytes());
        put(&mut code, 26, &255u16.to_le_bytes());
        put(&mut code, 28, &hidden.to_le_bytes());
        let large = if sectors > u16::MAX.into() {
            u32::try_from(sectors).unwrap_or(u32::MAX)
        } else {
            0
        };
        put(&mut code, 32, &large.to_le_bytes());
        self.install(partition, code, runs, directory)
    }

    fn install(
        &self,
        partition: &mut Extents,
        mut boot_sector: Vec<u8>,
        runs: &[Run],
        directory: &str,
    ) -> Result<(), Error> {
        let sectors: Vec<u64> = runs
            .iter()
            .flat_map(|run| run.first..run.first.saturating_add(run.count))
            .collect();
        let own = self.system.len() / SECTOR;
        let (needed, have) = (own + adv::SECTORS, sectors.len());
        let too_short = || Error::Sectors { needed, have };
        let (system_sectors, adv_sectors) = sectors.get(..needed).ok_or_else(too_short)?.split_at(own);
        let (first, rest) = system_sectors.split_first().ok_or_else(too_short)?;
        let extents = extents(rest);
        if extents.len() > self.area.max_extents {
            return Err(Error::Fragments {
                count: extents.len(),
                max: self.area.max_extents,
            });
        }
        if directory.len() >= self.area.directory_len {
            return Err(Error::Directory {
                len: directory.len(),
                max: self.area.directory_len.saturating_sub(1),
            });
        }

        // The lower and the upper half, as immediates of two instructions.
        put(&mut boot_sector, self.area.first_low, &(*first as u32).to_le_bytes());
        put(
            &mut boot_sector,
            self.area.first_high,
            &((*first >> 32) as u32).to_le_bytes(),
        );

        let mut system = self.system.clone();
        // Numbers of sectors, then of 32-bit words; the file has less than 64 KiB.
        put(&mut system, self.area.start + 8, &(own as u16).to_le_bytes());
        put(&mut system, self.area.start + 10, &(adv::SECTORS as u16).to_le_bytes());
        put(
            &mut system,
            self.area.start + 12,
            &((self.system.len() / 4) as u32).to_le_bytes(),
        );
        let list = vec![0; self.area.max_extents * EXTENT_LEN];
        put(&mut system, self.area.extents, &list);
        for (index, extent) in extents.iter().enumerate() {
            let at = self.area.extents + index * EXTENT_LEN;
            put(&mut system, at, &extent.first.to_le_bytes());
            put(&mut system, at + 8, &(extent.count as u16).to_le_bytes());
        }
        for (index, sector) in adv_sectors.iter().enumerate() {
            put(&mut system, self.area.adv + index * 8, &sector.to_le_bytes());
        }
        if !directory.is_empty() {
            put(&mut system, self.area.directory, &[directory.as_bytes(), &[0]].concat());
        }
        put(&mut system, self.area.start + 16, &[0; 4]);
        let sum = checksum(&system);
        put(&mut system, self.area.start + 16, &sum.to_le_bytes());

        let file = [system, adv::empty()].concat();
        for (sector, bytes) in sectors.iter().zip(file.chunks(SECTOR)) {
            partition.put_bytes(sector * SECTOR as u64, bytes);
        }
        partition.put_bytes(0, boot_sector);
        Ok(())
    }
}

/// Computes the number that makes the sum of all 32-bit words the magic number.
fn checksum(system: &[u8]) -> u32 {
    let dwords = (0..system.len()).step_by(4).filter_map(|at| dword(system, at));
    dwords.fold(MAGIC, u32::wrapping_sub)
}

/// Joins adjacent sectors to extents of less than 64 KiB.
fn extents(sectors: &[u64]) -> Vec<Run> {
    let mut extents: Vec<Run> = Vec::new();
    for &sector in sectors {
        match extents.last_mut() {
            Some(last) if last.first + last.count == sector && (last.count + 1) * (SECTOR as u64) < SEGMENT => {
                last.count += 1
            }
            _ => extents.push(Run {
                first: sector,
                count: 1,
            }),
        }
    }
    extents
}

/// Refuses filesystems that syslinux refuses (libinstaller/fs.c, `syslinux_check_bootsect`).
fn check_fat(sector: &[u8]) -> Result<(), Error> {
    let refused = |reason| Err(Error::Filesystem(reason));
    let byte = |at: usize| sector.get(at).copied().unwrap_or(0);
    if word(sector, 11) != Some(SECTOR) {
        return refused("its sectors do not have 512 bytes");
    }
    if !byte(13).is_power_of_two() {
        return refused("the length of its clusters is not a power of two");
    }
    if byte(21) != 0xf0 && byte(21) < 0xf8 {
        return refused("its media descriptor is unknown");
    }
    let (short, long) = (word(sector, 22).unwrap_or(0), dword(sector, 36).unwrap_or(0));
    if short == 0 && (long == 0 || byte(66) != 0x29 || sector.get(82..90) != Some(b"FAT32   ")) {
        return refused("it is neither FAT12, FAT16 nor FAT32");
    }
    Ok(())
}
