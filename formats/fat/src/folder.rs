//! The entries of a folder (FAT 1.03, "FAT Directory Structure", "Long Directory Entries").

use std::collections::BTreeMap;

use tree::Time;

use crate::names::{self, Short, ShortNames};
use crate::time::Stamp;
use crate::{Error, MOST_ENTRIES};

/// The length of an entry in bytes.
pub const ENTRY: usize = 32;

/// Attributes of entries.
pub const READ_ONLY: u8 = 0x01;
pub const HIDDEN: u8 = 0x02;
pub const SYSTEM: u8 = 0x04;
pub const VOLUME_ID: u8 = 0x08;
pub const DIRECTORY: u8 = 0x10;
pub const ARCHIVE: u8 = 0x20;
const LONG_NAME: u8 = READ_ONLY | HIDDEN | SYSTEM | VOLUME_ID;
/// Marks the last part of a long name, which stands first.
const LAST_LONG: u8 = 0x40;
/// Units of UTF-16 in an entry, and where they stand.
const UNITS: usize = 13;
const UNIT_OFFSETS: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// A name with its short one, before it is known where the content stands.
pub struct Name {
    /// The long name; none when the short one says it all.
    long: Vec<u16>,
    short: Short,
}

impl Name {
    /// How many entries it takes.
    fn entries(&self) -> usize {
        1 + self.long.len().div_ceil(UNITS)
    }
}

/// Gives short names to all the names of a folder, in their order.
///
/// # Errors
/// Names that FAT does not have, two that are one, and more than fit.
pub fn name<'a>(folder: &[u8], all: impl Iterator<Item = &'a [u8]> + Clone, more: usize) -> Result<Vec<Name>, Error> {
    let path = |name: &[u8]| match folder.is_empty() {
        true => name.to_vec(),
        false => [folder, b"/", name].concat(),
    };
    let mut seen: BTreeMap<String, &[u8]> = BTreeMap::new();
    let mut given = ShortNames::default();
    let mut shorts = Vec::new();
    for name in all.clone() {
        if let Some(other) = seen.insert(names::folded(name), name) {
            return Err(Error::SameName {
                path: path(name),
                other: path(other),
            });
        }
        // Those that lose nothing keep their own name, whatever comes before them.
        shorts.push(names::exact(name).filter(|short| given.take(*short)));
    }
    let mut made = Vec::new();
    for (name, short) in all.zip(shorts) {
        let long = names::long(name).map_err(|what| Error::Name { path: path(name), what })?;
        made.push(Name {
            long: if names::is_short(name) { Vec::new() } else { long },
            short: short.unwrap_or_else(|| given.numbered(name)),
        });
    }
    let entries = made.iter().map(Name::entries).sum::<usize>() + more;
    match entries <= MOST_ENTRIES {
        true => Ok(made),
        false => Err(Error::LargeFolder {
            path: folder.to_vec(),
            entries,
        }),
    }
}

/// How many bytes the entries of names take.
pub fn bytes(names: &[Name]) -> u64 {
    (names.iter().map(Name::entries).sum::<usize>() * ENTRY) as u64
}

/// What an entry says besides its name.
#[derive(Clone, Copy)]
pub struct Facts {
    pub attributes: u8,
    pub time: Time,
    /// Where the content begins; 0 for none.
    pub cluster: u32,
    /// Bytes of a file; 0 for a folder.
    pub len: u32,
}

/// Appends a name with what is said of it.
pub fn push(entries: &mut Vec<u8>, name: &Name, facts: &Facts) {
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
            // Behind the name a NUL, then nothing but ones.
            let value = match name.long.get(index) {
                Some(value) => *value,
                None if index == name.long.len() => 0,
                None => 0xffff,
            };
            put(&mut entry, *at, &value.to_le_bytes());
        }
        entries.extend_from_slice(&entry);
    }
    push_short(entries, &name.short, facts);
}

/// Appends an entry without a long name.
pub fn push_short(entries: &mut Vec<u8>, short: &Short, facts: &Facts) {
    let stamp = Stamp::from(facts.time);
    let [low, high] = [facts.cluster as u16, (facts.cluster >> 16) as u16];
    let mut entry = [0u8; ENTRY];
    put(&mut entry, 0, short);
    entry[11] = facts.attributes;
    entry[13] = stamp.hundredths;
    put(&mut entry, 14, &stamp.time.to_le_bytes());
    put(&mut entry, 16, &stamp.date.to_le_bytes());
    put(&mut entry, 18, &stamp.date.to_le_bytes());
    put(&mut entry, 20, &high.to_le_bytes());
    put(&mut entry, 22, &stamp.time.to_le_bytes());
    put(&mut entry, 24, &stamp.date.to_le_bytes());
    put(&mut entry, 26, &low.to_le_bytes());
    put(&mut entry, 28, &facts.len.to_le_bytes());
    entries.extend_from_slice(&entry);
}

fn put(entry: &mut [u8; ENTRY], at: usize, bytes: &[u8]) {
    for (to, from) in entry.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}
