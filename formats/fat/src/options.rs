//! What the caller decides.

use std::fmt;

use tree::Time;

/// How many bits an entry of the file allocation table has. The number of clusters alone
/// decides how a filesystem is read (FAT 1.03, "FAT Type Determination").
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
    /// All, the smallest first.
    pub const ALL: [Type; 3] = [Type::Fat12, Type::Fat16, Type::Fat32];

    /// The numbers of clusters that are used: 16 less on either side of a limit than the
    /// specification has, as it advises because of programs that count wrongly.
    pub fn clusters(self) -> std::ops::RangeInclusive<u64> {
        match self {
            Type::Fat12 => 1..=4_084 - 16,
            Type::Fat16 => 4_085 + 16..=65_524 - 16,
            // FAT 1.03: 0x0FFFFFF6 is the last number that is a cluster's; two are not used.
            Type::Fat32 => 65_525 + 16..=0x0fff_fff4,
        }
    }

    /// How long the part of a table for `entries` entries is, in bytes.
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

/// What a filesystem is to have besides the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The volume's name: at most 11 characters of ASCII, made upper case; none when empty.
    pub label: String,
    /// The serial number of the volume; otherwise derived from names, lengths and times.
    pub serial: Option<u32>,
    /// When the volume was made. The files have their own times.
    pub time: Time,
    /// The length in bytes, cut to whole sectors; otherwise as short as can be.
    pub size: Option<u64>,
    /// Which type; otherwise the smallest that the content fits with small clusters.
    pub kind: Option<Type>,
    /// The least length of clusters in bytes, at whose multiples files begin; any when 0.
    pub least_cluster: u64,
    /// The sector of the disk at which the filesystem begins, for boot loaders.
    pub hidden_sectors: u32,
    /// Paths of files that are marked read-only, hidden and of the system.
    pub system_files: Vec<Vec<u8>>,
}
