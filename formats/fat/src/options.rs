//! Options of the filesystem.

use std::fmt;

use tree::Time;

/// Number of bits of an entry in the file allocation table. Readers derive it from the number of
/// clusters alone (FAT 1.03, "FAT Type Determination").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// At most 4,084 clusters.
    Fat12,
    /// 4,085 to 65,524 clusters.
    Fat16,
    /// 65,525 clusters and more.
    Fat32,
}

impl Type {
    /// All types, the smallest first.
    pub const ALL: [Type; 3] = [Type::Fat12, Type::Fat16, Type::Fat32];

    /// Returns the numbers of clusters that the type may have, 16 away from the limits of the
    /// specification, as it advises because of programs that count wrongly.
    pub fn clusters(self) -> std::ops::RangeInclusive<u64> {
        match self {
            Type::Fat12 => 1..=4_084 - 16,
            Type::Fat16 => 4_085 + 16..=65_524 - 16,
            // FAT 1.03: 0x0FFFFFF6 is the last cluster number; numbers begin with 2.
            Type::Fat32 => 65_525 + 16..=0x0fff_fff4,
        }
    }

    /// Returns the length of a table with this number of entries, in bytes.
    pub(crate) fn table_bytes(self, entries: u64) -> u64 {
        match self {
            Type::Fat12 => (entries * 3).div_ceil(2),
            Type::Fat16 => entries * 2,
            Type::Fat32 => entries * 4,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Type::Fat12 => "FAT12",
            Type::Fat16 => "FAT16",
            Type::Fat32 => "FAT32",
        })
    }
}

/// Options of [`plan`](crate::plan). Start with the default and assign fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Label of the volume: at most 11 characters of ASCII, converted to upper case; `None` if empty.
    pub label: String,
    /// Serial number of the volume; by default derived from names, lengths and times.
    pub serial: Option<u32>,
    /// Time of the label. Files have their own times.
    pub time: Time,
    /// Length in bytes, rounded down to sectors; by default the smallest that suffices.
    pub size: Option<u64>,
    /// Type; by default the smallest that suffices with small clusters.
    pub kind: Option<Type>,
    /// Minimum cluster length in bytes. Files begin at multiples of clusters.
    pub min_cluster: u64,
    /// Sector of the disk at which the filesystem begins, which boot loaders read.
    pub hidden_sectors: u32,
    /// Paths of files that get the attributes read-only, hidden and system.
    pub system_files: Vec<Vec<u8>>,
    /// Name of the system that formatted the volume, filled with spaces (FAT 1.03, BS_OEMName).
    pub oem_name: [u8; 8],
}

impl Default for Options {
    fn default() -> Self {
        Options {
            label: String::new(),
            serial: None,
            time: Time::default(),
            size: None,
            kind: None,
            min_cluster: 0,
            hidden_sectors: 0,
            system_files: Vec::new(),
            // The name that FAT 1.03 recommends for compatibility.
            oem_name: *b"MSWIN4.1",
        }
    }
}
