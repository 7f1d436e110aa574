//! The loader: checked, patched and put in place (libinstaller/syslxmod.c, fs.c).

use extents::Extents;

use crate::patch::{self, Area, MAGIC, PIECE, dword, put, word};
use crate::{Error, SECTOR, adv};

/// Boot sector and ldlinux.sys of one version.
#[derive(Clone, Debug)]
pub struct Ldlinux {
    boot_sector: Vec<u8>,
    system: Vec<u8>,
    area: Area,
}

/// Sectors that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first, counted from the start of the partition.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// A piece is read at once, into one segment of memory (syslxmod.c, generate_extents).
const PIECE_BYTES: u64 = 0x1_0000;

/// The bytes of a boot sector that are the filesystem's: from behind the name of the system to
/// where the code of FAT32 begins (syslxint.h, FAT_bsCopyStart...; the same for FAT16).
const BPB: std::ops::Range<usize> = 11..90;

impl Ldlinux {
    /// Checks a boot sector and an ldlinux.sys as they are before any installation.
    ///
    /// # Errors
    /// What is not a loader, or not of one version.
    pub fn new(boot_sector: &[u8], system: &[u8]) -> Result<Ldlinux, Error> {
        let length = |what, wanted, len| Error::Length { what, wanted, len };
        let damaged = |what, found| Error::Damaged { what, found };
        if boot_sector.len() != SECTOR {
            return Err(length("the boot sector of syslinux", SECTOR, boot_sector.len()));
        }
        if !boot_sector.starts_with(b"\xeb\x58\x90SYSLINUX") || !boot_sector.ends_with(&[0x55, 0xaa]) {
            return Err(damaged("the boot sector of syslinux", "it has not its signatures"));
        }
        if !system.starts_with(b"\r\nSYSLINUX") {
            return Err(damaged("ldlinux.sys", "it does not begin with its name"));
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

    /// The boot sector without any filesystem's.
    pub fn boot_sector(&self) -> &[u8] {
        &self.boot_sector
    }

    /// ldlinux.sys before it is installed.
    pub fn system(&self) -> &[u8] {
        &self.system
    }

    /// The content for a file named `ldlinux.sys`: of the right length, to be written over when
    /// it is known where it stands.
    pub fn file(&self) -> Vec<u8> {
        [self.system.clone(), adv::empty()].concat()
    }

    /// Installs on a FAT filesystem, in which the file of [`Ldlinux::file`] stands at `runs` in
    /// the folder `folder` (empty for the root).
    ///
    /// # Errors
    /// A filesystem that syslinux does not read, and a file that is not as it must be.
    pub fn install_fat(&self, partition: &mut Extents, runs: &[Run], folder: &str) -> Result<(), Error> {
        let mut sector = vec![0; SECTOR];
        partition.read_exact_at(&mut sector, 0)?;
        check_fat(&sector)?;
        let mut code = self.boot_sector.clone();
        put(&mut code, BPB.start, sector.get(BPB).unwrap_or_default());
        self.install(partition, code, runs, folder)
    }

    /// Installs on ext2, ext3 or ext4, which leave the first two sectors alone. `hidden` is the
    /// sector of the disk at which the partition begins.
    ///
    /// # Errors
    /// A file that is not as it must be.
    pub fn install_ext(&self, partition: &mut Extents, runs: &[Run], folder: &str, hidden: u32) -> Result<(), Error> {
        let mut code = self.boot_sector.clone();
        // extlinux/main.c, patch_file_and_bootblock: as much of a BPB as the loader looks at.
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
        self.install(partition, code, runs, folder)
    }

    fn install(
        &self,
        partition: &mut Extents,
        mut boot_sector: Vec<u8>,
        runs: &[Run],
        folder: &str,
    ) -> Result<(), Error> {
        let sectors: Vec<u64> = runs
            .iter()
            .flat_map(|run| run.first..run.first.saturating_add(run.count))
            .collect();
        let own = self.system.len() / SECTOR;
        let (needed, have) = (own + adv::SECTORS, sectors.len());
        let wrong = || Error::Sectors { needed, have };
        let (system_sectors, adv_sectors) = sectors.get(..needed).ok_or_else(wrong)?.split_at(own);
        let (first, rest) = system_sectors.split_first().ok_or_else(wrong)?;
        let pieces = pieces(rest);
        if pieces.len() > self.area.most_pieces {
            return Err(Error::Pieces {
                pieces: pieces.len(),
                most: self.area.most_pieces,
            });
        }
        if folder.len() >= self.area.folder_len {
            return Err(Error::Folder {
                len: folder.len(),
                most: self.area.folder_len.saturating_sub(1),
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
        // Lengths of a file of less than 64 KiB and of sixteen bits each.
        put(&mut system, self.area.start + 8, &(own as u16).to_le_bytes());
        put(&mut system, self.area.start + 10, &(adv::SECTORS as u16).to_le_bytes());
        put(
            &mut system,
            self.area.start + 12,
            &((self.system.len() / 4) as u32).to_le_bytes(),
        );
        put(&mut system, self.area.pieces, &vec![0; self.area.most_pieces * PIECE]);
        for (index, piece) in pieces.iter().enumerate() {
            let at = self.area.pieces + index * PIECE;
            put(&mut system, at, &piece.first.to_le_bytes());
            put(&mut system, at + 8, &(piece.count as u16).to_le_bytes());
        }
        for (index, sector) in adv_sectors.iter().enumerate() {
            put(&mut system, self.area.adv + index * 8, &sector.to_le_bytes());
        }
        if !folder.is_empty() {
            put(&mut system, self.area.folder, &[folder.as_bytes(), &[0]].concat());
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

/// What makes the sum of all dwords the magic number.
fn checksum(system: &[u8]) -> u32 {
    let dwords = (0..system.len()).step_by(4).filter_map(|at| dword(system, at));
    dwords.fold(MAGIC, u32::wrapping_sub)
}

/// Sectors joined to pieces of less than 64 KiB.
fn pieces(sectors: &[u64]) -> Vec<Run> {
    let mut pieces: Vec<Run> = Vec::new();
    for &sector in sectors {
        match pieces.last_mut() {
            Some(last) if last.first + last.count == sector && (last.count + 1) * (SECTOR as u64) < PIECE_BYTES => {
                last.count += 1
            }
            _ => pieces.push(Run {
                first: sector,
                count: 1,
            }),
        }
    }
    pieces
}

/// Refuses what syslinux refuses (libinstaller/fs.c, syslinux_check_bootsect).
fn check_fat(sector: &[u8]) -> Result<(), Error> {
    let wrong = |what| Err(Error::Filesystem(what));
    let byte = |at: usize| sector.get(at).copied().unwrap_or(0);
    if word(sector, 11) != Some(SECTOR) {
        return wrong("its sectors have not 512 bytes");
    }
    if !byte(13).is_power_of_two() {
        return wrong("the length of its clusters is no power of two");
    }
    if byte(21) != 0xf0 && byte(21) < 0xf8 {
        return wrong("its media descriptor is unknown");
    }
    let (short, long) = (word(sector, 22).unwrap_or(0), patch::dword(sector, 36).unwrap_or(0));
    if short == 0 && (long == 0 || byte(66) != 0x29 || sector.get(82..90) != Some(b"FAT32   ")) {
        return wrong("it is neither FAT12, FAT16 nor FAT32");
    }
    Ok(())
}
