//! Names for readers that support neither Rock Ridge nor long names, unique in their directory.
//!
//! ```text
//! ISO 9660   my-kernel.tar.gz  →  MY_KERNEL_TAR.GZ;1      A-Z 0-9 _, 30 and a dot
//! Joliet     my-kernel.tar.gz  →  my-kernel.tar.gz;1      UCS-2, 64
//! ```

use std::collections::{BTreeMap, BTreeSet};

/// Rules of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// ECMA-119 7.5 and 7.6 at interchange level 2 and above: up to 30 d-characters and a dot
    /// for a file, 31 for a directory.
    Iso,
    /// Joliet specification: up to 64 UCS-2 characters.
    Joliet,
}

/// Name, divided into stem and extension, without the dot and the version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    stem: Vec<u16>,
    extension: Vec<u16>,
    directory: bool,
}

/// Maximum length of the extension of a truncated name, in characters.
const MAX_EXTENSION_LEN: usize = 8;
/// Length of `_` and the digits that make a name unique, in characters.
const MAX_SUFFIX_LEN: usize = 7;
/// `_`, `.`, `;` and `1` in UCS-2.
const UNDERSCORE: u16 = 0x5f;
const DOT: u16 = 0x2e;
const VERSION: [u16; 2] = [0x3b, 0x31];

impl Rules {
    /// Returns the limit of stem and extension together, in characters.
    fn limit(self, directory: bool) -> usize {
        match (self, directory) {
            (Rules::Iso, false) => 30,
            (Rules::Iso, true) => 31,
            (Rules::Joliet, false) => 63,
            (Rules::Joliet, true) => 64,
        }
    }

    fn character(self, c: char) -> u16 {
        match self {
            Rules::Iso if c.is_ascii_alphanumeric() => c.to_ascii_uppercase() as u16,
            Rules::Iso => UNDERSCORE,
            // Not allowed by the Joliet specification ("Joliet character set").
            Rules::Joliet if c.is_control() || "*/:;?\\".contains(c) => UNDERSCORE,
            Rules::Joliet => u16::try_from(u32::from(c)).unwrap_or(UNDERSCORE),
        }
    }

    /// Returns the nearest name that the rules allow.
    fn nearest(self, name: &[u8], directory: bool) -> Name {
        let text = String::from_utf8_lossy(name);
        let split = match text.rfind('.') {
            Some(at) if at > 0 && !directory => text.split_at_checked(at),
            _ => None,
        };
        let (stem, extension) = split.unwrap_or((&text, ""));
        let mut stem: Vec<u16> = stem.chars().map(|c| self.character(c)).collect();
        let mut extension: Vec<u16> = extension.chars().skip(1).map(|c| self.character(c)).collect();
        let limit = self.limit(directory);
        if stem.len() + extension.len() > limit {
            extension.truncate(MAX_EXTENSION_LEN);
            stem.truncate(limit - extension.len());
        }
        // Windows drops dots and spaces at the end of a name.
        let last = if extension.is_empty() {
            stem.last_mut()
        } else {
            extension.last_mut()
        };
        if let Some(last) = last.filter(|last| **last == DOT || **last == 0x20) {
            *last = UNDERSCORE;
        }
        Name {
            stem,
            extension,
            directory,
        }
    }
}

impl Name {
    /// Encodes the name for a directory record.
    pub(crate) fn identifier(&self, rules: Rules) -> Vec<u8> {
        let mut units = self.stem.clone();
        if !self.directory {
            if rules == Rules::Iso || !self.extension.is_empty() {
                units.push(DOT);
            }
            units.extend(&self.extension);
            units.extend(VERSION);
        }
        match rules {
            Rules::Iso => units.iter().map(|&unit| unit as u8).collect(),
            Rules::Joliet => units.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        }
    }

    /// Returns whether the name equals the original, for ISO 9660 except for case.
    fn is_faithful(&self, original: &[u8], rules: Rules) -> bool {
        let mut units = self.stem.clone();
        if !self.extension.is_empty() {
            units.push(DOT);
            units.extend(&self.extension);
        }
        let text = String::from_utf16_lossy(&units);
        match rules {
            Rules::Iso => original.eq_ignore_ascii_case(text.as_bytes()),
            Rules::Joliet => original == text.as_bytes(),
        }
    }

    /// Returns the name with a number at the end of its stem.
    fn numbered(&self, number: u32) -> Name {
        let mut digits = Vec::new();
        let mut rest = number;
        while digits.is_empty() || rest > 0 {
            digits.push(char::from_digit(rest % 36, 36).unwrap_or('0').to_ascii_uppercase() as u16);
            rest /= 36;
        }
        let mut stem = self.stem.clone();
        stem.push(UNDERSCORE);
        stem.extend(digits.iter().rev());
        Name {
            stem,
            extension: self.extension.clone(),
            directory: self.directory,
        }
    }

    /// Truncates the name so that a number can be added.
    fn shortened(&self, rules: Rules) -> Name {
        let mut short = self.clone();
        short.extension.truncate(MAX_EXTENSION_LEN);
        let max_stem = rules.limit(self.directory) - MAX_SUFFIX_LEN - short.extension.len();
        short.stem.truncate(max_stem);
        short
    }

    /// Returns the key by which names of a directory are sorted and must differ (ECMA-119 9.3). It
    /// has no type, since no reader distinguishes a file and a directory of one name.
    fn key(&self) -> (Vec<u16>, Vec<u16>) {
        (self.stem.clone(), self.extension.clone())
    }
}

/// Assigns names to the entries of a directory, each given with true for a directory. Names that the
/// rules allow are kept; others get a number if they collide.
pub(crate) fn assign(originals: &[(&[u8], bool)], rules: Rules) -> Vec<Name> {
    let mut names: Vec<Name> = originals
        .iter()
        .map(|(name, directory)| rules.nearest(name, *directory))
        .collect();
    let mut faithful = Vec::new();
    let mut others = Vec::new();
    for (at, (name, (original, _))) in names.iter().zip(originals).enumerate() {
        if name.is_faithful(original, rules) {
            faithful.push(at);
        } else {
            others.push(at);
        }
    }
    let mut taken = BTreeSet::new();
    let mut next = BTreeMap::new();
    for at in faithful.into_iter().chain(others) {
        let Some(name) = names.get_mut(at) else { continue };
        if taken.insert(name.key()) {
            continue;
        }
        let short = name.shortened(rules);
        let number = next.entry(short.key()).or_insert(0u32);
        while !taken.insert(short.numbered(*number).key()) {
            *number = number.saturating_add(1);
        }
        *name = short.numbered(*number);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(originals: &[&str], rules: Rules) -> Vec<String> {
        let originals: Vec<_> = originals.iter().map(|name| (name.as_bytes(), false)).collect();
        let names = assign(&originals, rules);
        names
            .iter()
            .map(|name| {
                let identifier = name.identifier(rules);
                match rules {
                    Rules::Iso => String::from_utf8(identifier).unwrap(),
                    Rules::Joliet => {
                        let units: Vec<u16> = identifier.chunks(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
                        String::from_utf16(&units).unwrap()
                    }
                }
            })
            .collect()
    }

    #[test]
    fn iso_names_are_unique_and_kept_if_possible() {
        assert_eq!(
            assigned(
                &[
                    "isolinux.bin",
                    "KERNEL",
                    "kernel",
                    ".hidden",
                    "a.b.c",
                    "a_b.c",
                    "ü",
                    "é",
                    "x."
                ],
                Rules::Iso
            ),
            [
                "ISOLINUX.BIN;1",
                "KERNEL.;1",
                "KERNEL_0.;1",
                "_HIDDEN.;1",
                "A_B_0.C;1",
                "A_B.C;1",
                "_.;1",
                "__0.;1",
                "X.;1"
            ]
        );
        let long = "a".repeat(250);
        let names = assigned(&[&format!("{long}1.tar"), &format!("{long}2.tar")], Rules::Iso);
        assert_eq!(
            names,
            [
                format!("{}.TAR;1", "A".repeat(27)),
                format!("{}_0.TAR;1", "A".repeat(20))
            ]
        );
    }

    #[test]
    fn joliet_names_keep_what_ucs_2_has() {
        assert_eq!(
            assigned(&["Ü b.TXT", "a.b.c", "what?", "😀"], Rules::Joliet),
            ["Ü b.TXT;1", "a.b.c;1", "what_;1", "_;1"]
        );
    }

    #[test]
    fn the_longest_names_fit() {
        for rules in [Rules::Iso, Rules::Joliet] {
            for directory in [false, true] {
                for name in [
                    "n".repeat(255),
                    format!("{}.{}", "n".repeat(9), "e".repeat(200)),
                    format!("{}.e", "n".repeat(200)),
                ] {
                    let both = assign(&[(name.as_bytes(), directory), (name.as_bytes(), directory)], rules);
                    for name in both {
                        let len = name.identifier(rules).len();
                        assert!(len <= if rules == Rules::Iso { 33 } else { 132 }, "{len}");
                    }
                }
            }
        }
    }
}
