//! Long names, and the short ones that stand before them (FAT 1.03, "Name Limits and Character
//! Sets", "The Basis-Name Generation Algorithm").

use std::collections::{BTreeMap, BTreeSet};

/// A short name as it stands in an entry: 8 bytes and 3, filled with spaces.
pub type Short = [u8; 11];

/// A long name in UTF-16.
///
/// # Errors
/// What FAT cannot hold in the name.
pub fn long(name: &[u8]) -> Result<Vec<u16>, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8")?;
    if name.chars().any(|c| c < ' ' || "\"*/:<>?\\|\u{7f}".contains(c)) {
        return Err("its name has a control character or one of \" * / : < > ? \\ |");
    }
    if name.ends_with(['.', ' ']) {
        return Err("its name ends in a dot or a space");
    }
    // As many as FAT has at most (255): no name of a tree has more bytes.
    Ok(name.encode_utf16().collect())
}

/// What two names must differ in: FAT does not tell cases apart.
pub fn folded(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .flat_map(char::to_uppercase)
        .collect()
}

/// The short name that a name has without loss but for its case, if it is one.
pub fn exact(name: &[u8]) -> Option<Short> {
    let basis = Basis::of(name);
    (!basis.lossy).then(|| basis.short(""))
}

/// Whether a name is a short name as it stands, and needs no long one.
pub fn is_short(name: &[u8]) -> bool {
    exact(name).is_some() && !name.iter().any(u8::is_ascii_lowercase)
}

/// The check of a short name that its long entries carry (FAT 1.03, "Organization and
/// Association of Short & Long Directory Entries").
pub fn checksum(short: &Short) -> u8 {
    short
        .iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The short names of a folder, given away one by one.
#[derive(Default)]
pub struct ShortNames {
    taken: BTreeSet<Short>,
    /// The next number to try for a basis.
    next: BTreeMap<Vec<u8>, u32>,
}

impl ShortNames {
    /// Marks a short name as given away; false when it was before.
    pub fn take(&mut self, short: Short) -> bool {
        self.taken.insert(short)
    }

    /// A short name with a number for a name that has none of its own.
    pub fn numbered(&mut self, name: &[u8]) -> Short {
        let basis = Basis::of(name);
        let next = self
            .next
            .entry([&basis.name[..], b".", &basis.extension].concat())
            .or_insert(1);
        // A folder has at most 65,536 entries: a number of six digits is always free.
        loop {
            let short = basis.short(&format!("~{next}"));
            *next = next.saturating_add(1);
            if self.taken.insert(short) {
                return short;
            }
        }
    }
}

/// A name cut to what short names have: upper case, no spaces, one dot.
struct Basis {
    name: Vec<u8>,
    extension: Vec<u8>,
    /// Whether more than case was lost.
    lossy: bool,
}

impl Basis {
    fn of(name: &[u8]) -> Basis {
        let text = String::from_utf8_lossy(name);
        let stripped = text.trim_start_matches('.');
        let (stem, extension) = stripped.rsplit_once('.').unwrap_or((stripped, ""));
        let mut lossy = stripped.len() != text.len() || stem.is_empty();
        let mut part = |text: &str, longest: usize| {
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
            lossy |= bytes.len() > longest;
            bytes.truncate(longest);
            bytes
        };
        let (name, extension) = (part(stem, 8), part(extension, 3));
        Basis { name, extension, lossy }
    }

    /// The short name with `tail` behind as much of the basis as there is room for.
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
