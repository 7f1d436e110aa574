//! Extended attributes (rst, "Extended attributes").
//!
//! ```text
//! after an inode    u32 0   u8 number of shared ones   zeros up to 12   u32 place  ...   entry ...
//! entry             u8 length of the name   u8 prefix   u16 length of the value   name   value
//! shared ones       entry ...                         a place counts units of 4 bytes from the first
//! ```
//!
//! An attribute that several inodes have with one value is stored once and shared.

use std::collections::BTreeMap;

use tree::Meta;

use crate::bytes::align;
use crate::error::Error;
use crate::{MAX_XATTR_NAME_LEN, MAX_XATTR_VALUE_LEN, MAX_XATTRS_LEN};

/// Length of the header before the attributes of an inode (`struct erofs_xattr_ibody_header`), in
/// bytes.
const HEADER: usize = 12;
/// Unit of places and lengths in bytes.
const UNIT: usize = 4;
/// Maximum number of shared attributes of an inode: their number has 8 bits.
const MAX_SHARED: usize = u8::MAX as usize;
/// Numbers of prefixes (`EROFS_XATTR_INDEX_*`). Access control lists are complete names.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    let mut found = PREFIXES.iter().filter_map(|(number, prefix)| {
        let rest = name.strip_prefix(*prefix)?;
        (prefix.ends_with(b".") || rest.is_empty()).then_some((*number, rest))
    });
    found.next()
}

/// Refuses attributes that cannot be stored.
pub(crate) fn check(path: &[u8], meta: &Meta) -> Result<(), Error> {
    for (name, value) in &meta.xattrs {
        let fault = match split(name) {
            None => "its name begins with none of user., trusted. and security. and is not an access control list",
            Some((_, b"")) if name.ends_with(b".") => "its name has nothing after the prefix",
            Some(_) if name.contains(&0) => "its name has a zero byte",
            Some(_) if name.len() > MAX_XATTR_NAME_LEN => "its name has more than 255 bytes",
            Some(_) if value.len() > MAX_XATTR_VALUE_LEN => "its value has more than 65535 bytes",
            Some(_) => continue,
        };
        return Err(Error::Attribute {
            path: path.to_vec(),
            name: name.clone(),
            fault,
        });
    }
    Ok(())
}

/// Appends an entry, whose name was checked before.
fn push(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let (number, rest) = split(name).unwrap_or((0, name));
    bytes.extend_from_slice(&[rest.len() as u8, number]);
    bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes.extend_from_slice(value);
    align(bytes, UNIT);
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn pairs(meta: &Meta) -> impl Iterator<Item = Pair<'_>> {
    let pairs = meta.xattrs.iter();
    pairs.map(|(name, value)| (name.as_slice(), value.as_slice()))
}

/// Attributes that several inodes share.
#[derive(Debug, Default)]
pub(crate) struct Shared<'a> {
    places: BTreeMap<Pair<'a>, u32>,
    bytes: Vec<u8>,
}

impl<'a> Shared<'a> {
    /// Finds the attributes that more than one inode has.
    pub(crate) fn find(metas: impl Iterator<Item = &'a Meta>) -> Self {
        let mut counts: BTreeMap<Pair<'a>, u32> = BTreeMap::new();
        for pair in metas.flat_map(pairs) {
            let count = counts.entry(pair).or_default();
            *count = count.saturating_add(1);
        }
        let mut shared = Shared::default();
        for (pair, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
            // 16 GiB of attributes would not fit the memory either.
            let Ok(place) = u32::try_from(shared.bytes.len() / UNIT) else {
                break;
            };
            shared.places.insert(pair, place);
            push(&mut shared.bytes, pair.0, pair.1);
        }
        shared
    }

    /// Returns the encoded shared attributes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Encodes the attributes of an inode.
    pub(crate) fn encode(&self, path: &[u8], meta: &Meta) -> Result<Vec<u8>, Error> {
        if meta.xattrs.is_empty() {
            return Ok(Vec::new());
        }
        let mut places = Vec::new();
        let mut entries = Vec::new();
        for pair in pairs(meta) {
            match self.places.get(&pair).filter(|_| places.len() < MAX_SHARED) {
                Some(place) => places.push(*place),
                None => push(&mut entries, pair.0, pair.1),
            }
        }
        let mut bytes = vec![0, 0, 0, 0, places.len() as u8];
        bytes.resize(HEADER, 0);
        bytes.extend(places.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(entries);
        match bytes.len() {
            0..=MAX_XATTRS_LEN => Ok(bytes),
            len => Err(Error::Attributes {
                path: path.to_vec(),
                len,
            }),
        }
    }
}

/// Encodes the length of the attributes of an inode (`i_xattr_icount`).
pub(crate) fn count(len: usize) -> u16 {
    // At most 16 bits, by the definition of MAX_XATTRS_LEN.
    (len.saturating_sub(HEADER) / UNIT + usize::from(len > 0)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_in_units() {
        assert_eq!([0, 16, 20, MAX_XATTRS_LEN].map(count), [0, 2, 3, u16::MAX]);
    }
}
