//! Entries of a directory (FAT 1.03, "FAT Directory Structure", "Long Directory Entries").

use std::collections::BTreeMap;

use tree::Time;

use crate::MAX_ENTRIES;
use crate::error::Error;
use crate::names::{self, Short, ShortNames};
use crate::time::Stamp;

/// Length of an entry in bytes.
pub const ENTRY: usize = 32;

/// Bits of the attributes (`DIR_Attr`).
pub const READ_ONLY: u8 = 0x01;
pub const HIDDEN: u8 = 0x02;
pub const SYSTEM: u8 = 0x04;
pub const VOLUME_ID: u8 = 0x08;
pub const DIRECTORY: u8 = 0x10;
pub const ARCHIVE: u8 = 0x20;
const LONG_NAME: u8 = READ_ONLY | HIDDEN | SYSTEM | VOLUME_ID;
/// Mark of the last part of a long name, which is stored first.
const LAST_LONG: u8 = 0x40;
/// Units of UTF-16 in an entry, and their offsets in it.
const UNITS: usize = 13;
const UNIT_OFFSETS: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// Long and short name of an entry.
pub struct Name {
    /// Long name; empty if the short name equals it.
    long: Vec<u16>,
    short: Short,
}

impl Name {
    /// Returns the number of entries that the name takes.
    fn entries(&self) -> usize {
        1 + self.long.len().div_ceil(UNITS)
    }
}

/// Assigns short names to all names of a directory, which has `more` other entries.
///
/// # Errors
/// A name that FAT does not allow, two names that differ only in case, and too many entries.
pub fn name<'a>(
    directory: &[u8],
    all: impl Iterator<Item = &'a [u8]> + Clone,
    more: usize,
) -> Result<Vec<Name>, Error> {
    let path = |name: &[u8]| {
        if directory.is_empty() {
            name.to_vec()
        } else {
            [directory, b"/", name].concat()
        }
    };
    let mut seen: BTreeMap<String, &[u8]> = BTreeMap::new();
    let mut short_names = ShortNames::default();
    let mut shorts = Vec::new();
    for name in all.clone() {
        if let Some(other) = seen.insert(names::folded(name), name) {
            return Err(Error::SameName {
                path: path(name),
                other: path(other),
            });
        }
        // Names that equal a short name keep it, whatever comes before them.
        shorts.push(names::exact(name).filter(|short| short_names.take(*short)));
    }
    let mut assigned = Vec::new();
    for (name, short) in all.zip(shorts) {
        let long = names::long(name).map_err(|fault| Error::Name {
            path: path(name),
            fault,
        })?;
        assigned.push(Name {
            long: if names::is_short(name) { Vec::new() } else { long },
            short: short.unwrap_or_else(|| short_names.numbered(name)),
        });
    }
    let entries = assigned.iter().map(Name::entries).sum::<usize>() + more;
    if entries > MAX_ENTRIES {
        return Err(Error::LargeDirectory {
            path: directory.to_vec(),
            entries,
        });
    }
    Ok(assigned)
}

/// Returns the length of the entries of these names in bytes.
pub fn bytes(names: &[Name]) -> u64 {
    (names.iter().map(Name::entries).sum::<usize>() * ENTRY) as u64
}

/// Fields of an entry apart from its name.
#[derive(Clone, Copy)]
pub struct Fields {
    pub attributes: u8,
    pub time: Time,
    /// First cluster of the content; 0 for none.
    pub cluster: u32,
    /// Length of a file in bytes; 0 for a directory.
    pub len: u32,
}

/// Appends the entries of a name.
pub fn push(entries: &mut Vec<u8>, name: &Name, fields: &Fields) {
    let parts = name.long.len().div_ceil(UNITS);
    let checksum = names::checksum(&name.short);
    for part in (0..parts).rev() {
        let mut entry = [0u8; ENTRY];
        let last = if part + 1 == parts { LAST_LONG } else { 0 };
        // A long name has at most 20 parts.
        entry[0] = (part as u8 + 1) | last;
        entry[11] = LONG_NAME;
        entry[13] = checksum;
        for (unit, at) in UNIT_OFFSETS.iter().enumerate() {
            let index = part * UNITS + unit;
            // The name is followed by a NUL, then filled with ones.
            let value = match name.long.get(index) {
                Some(value) => *value,
                None if index == name.long.len() => 0,
                None => 0xffff,
            };
            put(&mut entry, *at, &value.to_le_bytes());
        }
        entries.extend_from_slice(&entry);
    }
    push_short(entries, &name.short, fields);
}

/// Appends an entry without a long name.
pub fn push_short(entries: &mut Vec<u8>, short: &Short, fields: &Fields) {
    let stamp = Stamp::from(fields.time);
    let [low, high] = [fields.cluster as u16, (fields.cluster >> 16) as u16];
    let mut entry = [0u8; ENTRY];
    put(&mut entry, 0, short);
    entry[11] = fields.attributes;
    entry[13] = stamp.hundredths;
    put(&mut entry, 14, &stamp.time.to_le_bytes());
    put(&mut entry, 16, &stamp.date.to_le_bytes());
    put(&mut entry, 18, &stamp.date.to_le_bytes());
    put(&mut entry, 20, &high.to_le_bytes());
    put(&mut entry, 22, &stamp.time.to_le_bytes());
    put(&mut entry, 24, &stamp.date.to_le_bytes());
    put(&mut entry, 26, &low.to_le_bytes());
    put(&mut entry, 28, &fields.len.to_le_bytes());
    entries.extend_from_slice(&entry);
}

fn put(entry: &mut [u8; ENTRY], at: usize, bytes: &[u8]) {
    for (to, from) in entry.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}
