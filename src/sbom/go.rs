//! Go modules of a program, from its build information (Go, debug/buildinfo).
//!
//! ```text
//! section .go.buildinfo │ "\xff Go buildinf:" │ pointer size │ flags │ to 32 bytes │ version │ modules │
//! ```
//!
//! Both texts follow their lengths as varints. Programs of Go before 1.18 have pointers in their place.

use extents::Extents;

use super::elf::Sections;
use super::{Kind, Package, purl};

const SECTION: &str = ".go.buildinfo";
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Offset of the flags, and the flag for texts that follow the header.
const FLAGS: usize = 15;
const INLINE: u8 = 2;
/// Length of the header, in bytes.
const HEADER: usize = 32;
/// Length of the marks around the text of the modules, in bytes.
const MARK: usize = 16;
/// Maximum length of the section, in bytes.
const MAX_SECTION: u64 = 4 << 20;

/// Build information of a program.
#[derive(Debug, PartialEq, Eq)]
pub enum BuildInfo {
    /// Modules, with the standard library.
    Modules(Vec<Package>),
    /// In the form of Go before 1.18, which is not read.
    Old,
}

/// Reads the build information of a program. None for other programs, and if it is corrupt.
pub fn build_info(sections: &Sections, path: &str) -> Option<BuildInfo> {
    let section = sections.get(SECTION).filter(|section| section.len() <= MAX_SECTION)?;
    parse(section, path)
}

fn parse(section: &Extents, path: &str) -> Option<BuildInfo> {
    let bytes = section.to_vec().ok()?;
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    if bytes.get(FLAGS)? & INLINE == 0 {
        return Some(BuildInfo::Old);
    }
    let (version, rest) = text(bytes.get(HEADER..)?)?;
    let (modules, _) = text(rest)?;
    let modules = modules
        .get(MARK..modules.len().saturating_sub(MARK))
        .unwrap_or_default();
    let mut packages = Vec::new();
    // "go1.22.3 X:nocoverageredesign" names experiments.
    let version = String::from_utf8_lossy(version).into_owned();
    if let Some(version) = version.split(' ').next().and_then(|version| version.strip_prefix("go")) {
        packages.push(module("stdlib", version, path));
    }
    for line in String::from_utf8_lossy(modules).lines() {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next(), fields.next()) {
            // The main module often has no version.
            (Some("mod" | "dep"), Some(name), version) => {
                let version = version.filter(|version| *version != "(devel)").unwrap_or_default();
                packages.push(module(name, version, path));
            }
            // A replacement of the module before.
            (Some("=>"), Some(name), version) => {
                packages.pop();
                // A local directory has no version.
                if let Some(version) = version.filter(|version| !version.is_empty()) {
                    packages.push(module(name, version, path));
                }
            }
            _ => {}
        }
    }
    Some(BuildInfo::Modules(packages))
}

fn module(name: &str, version: &str, path: &str) -> Package {
    Package {
        kind: Kind::Golang,
        name: name.to_owned(),
        version: version.to_owned(),
        purl: Some(purl::format(Kind::Golang.name(), "", name, version, &[])),
        license: None,
        source: None,
        found_in: Some(path.to_owned()),
    }
}

/// Splits a text off that follows its length as a varint.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0usize;
    // Four bytes have 28 bits, more than the section.
    for at in 0..4 {
        let byte = *bytes.get(at)?;
        len |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return bytes.get(at + 1..)?.split_at_checked(len);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(modules: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        bytes.resize(HEADER, 0);
        let modules = format!("{}{modules}{}", "x".repeat(MARK), "y".repeat(MARK));
        for text in ["go1.22.3", &modules] {
            bytes.push((text.len() & 0x7f) as u8 | 0x80);
            bytes.push((text.len() >> 7) as u8);
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    #[test]
    fn modules_and_replacements_are_read() {
        let section = section(
            "path\texample.org/cmd\nmod\texample.org/a\t(devel)\t\ndep\tgithub.com/b/c\tv1.2.3\th1:x=\n\
             dep\tgithub.com/d\tv1.0.0\n=>\tgithub.com/e\tv2.0.0\th1:y=\ndep\tgithub.com/f\tv1.0.0\n=>\t./f\t\n\
             build\tGOOS=linux\n",
        );
        let Some(BuildInfo::Modules(found)) = parse(&Extents::from_bytes(section.clone()), "usr/bin/a") else {
            panic!("not read");
        };
        let found: Vec<_> = found.iter().map(|package| package.purl.clone().unwrap()).collect();
        let expected = [
            "pkg:golang/stdlib@1.22.3",
            "pkg:golang/example.org/a",
            "pkg:golang/github.com/b/c@v1.2.3",
            "pkg:golang/github.com/e@v2.0.0",
        ];
        assert_eq!(found, expected);
        for at in 0..section.len() {
            drop(parse(&Extents::from_bytes(section[..at].to_vec()), ""));
        }
    }

    #[test]
    fn the_form_with_pointers_is_named() {
        let mut bytes = MAGIC.to_vec();
        bytes.resize(HEADER, 0);
        assert_eq!(parse(&Extents::from_bytes(bytes), ""), Some(BuildInfo::Old));
        assert_eq!(parse(&Extents::from_bytes(b"other".to_vec()), ""), None);
    }
}
