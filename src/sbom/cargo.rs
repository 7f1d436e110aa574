//! Rust crates of a program that was built with `cargo auditable`: section `.dep-v0`, JSON compressed by
//! zlib (cargo-auditable, PARSING.md).

use std::io::Read;

use extents::Extents;
use flate2::read::ZlibDecoder;
use serde::Deserialize;

use super::elf::Sections;
use super::{Kind, Package, purl};

const SECTION: &str = ".dep-v0";
/// Maximum length of the section, compressed and decompressed, in bytes, as cargo-auditable recommends.
const MAX_SECTION: u64 = 8 << 20;

#[derive(Deserialize)]
struct Dependencies {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    source: String,
    /// `build` for what is not in the program.
    #[serde(default)]
    kind: String,
}

/// Reads the crates of a program. None for other programs, and if the section is corrupt.
pub fn crates(sections: &Sections, path: &str) -> Option<Vec<Package>> {
    let section = sections.get(SECTION).filter(|section| section.len() <= MAX_SECTION)?;
    parse(section, path)
}

fn parse(section: &Extents, path: &str) -> Option<Vec<Package>> {
    let compressed = section.to_vec().ok()?;
    let mut json = Vec::new();
    let mut decoder = ZlibDecoder::new(compressed.as_slice()).take(MAX_SECTION + 1);
    decoder.read_to_end(&mut json).ok()?;
    if json.len() as u64 > MAX_SECTION {
        return None;
    }
    let found: Dependencies = serde_json::from_slice(&json).ok()?;
    let crates = found.packages.into_iter().filter(|package| package.kind != "build");
    let packages = crates.map(|package| {
        // Only crates.io is a package URL's usual place.
        let kind = if ["crates.io", ""].contains(&package.source.as_str()) {
            Kind::Cargo
        } else {
            Kind::Generic
        };
        Package {
            kind: Kind::Cargo,
            purl: Some(purl::format(kind.name(), "", &package.name, &package.version, &[])),
            name: package.name,
            version: package.version,
            license: None,
            source: None,
            found_in: Some(path.to_owned()),
        }
    });
    Some(packages.collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn crates_of_the_program_are_read() {
        let json = r#"{"packages": [
            {"name": "adler", "version": "0.2.3", "source": "registry"},
            {"name": "serde", "version": "1.0.1", "source": "crates.io", "dependencies": [0]},
            {"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
            {"name": "tool", "version": "0.1.0", "source": "local", "root": true}
        ]}"#;
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(json.as_bytes()).unwrap();
        let section = Extents::from_bytes(encoder.finish().unwrap());
        let found = parse(&section, "usr/bin/tool").unwrap();
        let urls: Vec<_> = found.iter().filter_map(|package| package.purl.as_deref()).collect();
        assert_eq!(
            urls,
            [
                "pkg:generic/adler@0.2.3",
                "pkg:cargo/serde@1.0.1",
                "pkg:generic/tool@0.1.0"
            ]
        );
        assert_eq!(parse(&Extents::from_bytes(b"no zlib".to_vec()), ""), None);
    }
}
