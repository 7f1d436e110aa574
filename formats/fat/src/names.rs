//! Long names, and the short names that they belong to (FAT 1.03, "Name Limits and Character
//! Sets", "The Basis-Name Generation Algorithm").

use std::collections::{BTreeMap, BTreeSet};

/// Short name of an entry: 8 bytes and an extension of 3, filled with spaces.
pub type Short = [u8; 11];

/// Encodes a long name in UTF-16.
///
/// # Errors
/// The fault of a name that FAT does not allow.
pub fn long(name: &[u8]) -> Result<Vec<u16>, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8")?;
    if name.chars().any(|c| c < ' ' || "\"*/:<>?\\|\u{7f}".contains(c)) {
        return Err("its name has a control character or one of \" * / : < > ? \\ |");
    }
    if name.ends_with(['.', ' ']) {
        return Err("its name ends in a dot or a space");
    }
    // At most 255 units, the limit of FAT: no name of a tree has more bytes.
    Ok(name.encode_utf16().collect())
}

/// Converts a name to upper case, in which names of one directory must differ.
pub fn folded(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .flat_map(char::to_uppercase)
        .collect()
}

/// Returns the short name that equals a name except for case, if there is one.
pub fn exact(name: &[u8]) -> Option<Short> {
    let basis = Basis::of(name);
    (!basis.lossy).then(|| basis.short(""))
}

/// Returns true for a name that equals its short name and needs no long one.
pub fn is_short(name: &[u8]) -> bool {
    exact(name).is_some() && !name.iter().any(u8::is_ascii_lowercase)
}

/// Computes the checksum of a short name in its long entries (FAT 1.03, "Organization and
/// Association of Short & Long Directory Entries").
pub fn checksum(short: &Short) -> u8 {
    short
        .iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// Allocator of the short names of a directory.
#[derive(Default)]
pub struct ShortNames {
    taken: BTreeSet<Short>,
    /// Next number to try for a basis.
    next: BTreeMap<Vec<u8>, u32>,
}

impl ShortNames {
    /// Takes a short name; returns false if it was taken before.
    pub fn take(&mut self, short: Short) -> bool {
        self.taken.insert(short)
    }

    /// Takes a short name with a number, for a name without an equal short name.
    pub fn numbered(&mut self, name: &[u8]) -> Short {
        let basis = Basis::of(name);
        let next = self
            .next
            .entry([&basis.name[..], b".", &basis.extension].concat())
            .or_insert(1);
        // A directory has at most 65,536 entries: a number of six digits is always free.
        loop {
            let short = basis.short(&format!("~{next}"));
            *next = next.saturating_add(1);
            if self.taken.insert(short) {
                return short;
            }
        }
    }
}

/// Name reduced to what short names allow: upper case, no spaces, one dot.
struct Basis {
    name: Vec<u8>,
    extension: Vec<u8>,
    /// Set if more than case was lost.
    lossy: bool,
}

impl Basis {
    fn of(name: &[u8]) -> Basis {
        let text = String::from_utf8_lossy(name);
        let stripped = text.trim_start_matches('.');
        let (stem, extension) = stripped.rsplit_once('.').unwrap_or((stripped, ""));
        let mut lossy = stripped.len() != text.len() || stem.is_empty();
        let mut part = |text: &str, max_len: usize| {
            let mut bytes = Vec::new();
            for c in text.chars() {
                match c {
                    ' ' | '.' => lossy = true,
                    c if c.is_ascii_alphanumeric() || "$%'-_@~`!(){}^#&".contains(c) => {
                        bytes.push(c.to_ascii_uppercase() as u8);
                    }
                    _ => {
                        lossy = true;
                        bytes.push(b'_');
                    }
                }
            }
            lossy |= bytes.len() > max_len;
            bytes.truncate(max_len);
            bytes
        };
        let (name, extension) = (part(stem, 8), part(extension, 3));
        Basis { name, extension, lossy }
    }

    /// Returns the short name that ends with `tail`, after as much of the basis as fits.
    fn short(&self, tail: &str) -> Short {
        let mut short = [b' '; 11];
        let keep = self.name.len().min(8usize.saturating_sub(tail.len()));
        let name = self.name.iter().take(keep).copied().chain(tail.bytes());
        for (to, from) in short.iter_mut().take(8).zip(name) {
            *to = from;
        }
        for (to, from) in short.iter_mut().skip(8).zip(&self.extension) {
            *to = *from;
        }
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        assert_eq!(exact(b"ldlinux.sys"), Some(*b"LDLINUX SYS"));
        assert!(is_short(b"BOOTX64.EFI") && !is_short(b"bootx64.efi"));
        for name in [
            &b".profile"[..],
            b"a.b.c",
            b"long-file-name",
            b"a b",
            b"x+y",
            "ä".as_bytes(),
            b"a.html",
        ] {
            assert_eq!(exact(name), None, "{}", String::from_utf8_lossy(name));
        }
        let mut names = ShortNames::default();
        assert_eq!(&names.numbered(b"initrd.image"), b"INITRD~1IMA");
        assert_eq!(&names.numbered(b"initrd.imagination"), b"INITRD~2IMA");
        assert_eq!(&names.numbered(b".."), b"~1         ");
    }
}
