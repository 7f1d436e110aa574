//! RPM packages of an image, from the database in SQLite (rpm, lib/backend/sqlite.c). Each row of its table
//! `Packages` has the header of a package (rpm, docs/manual/format_header.md):
//!
//! ```text
//! number of entries, length of the data: 4 bytes each, big-endian
//! entries: tag, type, offset in the data, count: 4 bytes each
//! data
//! ```
//!
//! Databases of Berkeley DB and of RPM's own format are not read.

use extents::Extents;
use tree::{Kind as NodeKind, Tree};

use super::scan::{distribution, join, node};
use super::sqlite::{Database, Value};
use super::{Kind, Package, purl};

/// Directories of the databases.
const DIRECTORIES: [&str; 2] = ["var/lib/rpm", "usr/lib/sysimage/rpm"];
const SQLITE: &str = "rpmdb.sqlite";
/// Transactions that are not in the database yet.
const WAL: &str = "rpmdb.sqlite-wal";
/// Names of other databases: Berkeley DB, and RPM's own format.
const OTHERS: [(&str, &str); 2] = [("Packages", "Berkeley DB"), ("Packages.db", "ndb")];
/// Maximum number of entries of a header; RPM's own limit.
const MAX_ENTRIES: usize = 0xffff;
/// Name under which RPM keeps the keys that it trusts.
const PUBLIC_KEY: &str = "gpg-pubkey";

/// Tags of a header.
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const LICENSE: u32 = 1014;
const ARCH: u32 = 1022;
const SOURCE: u32 = 1044;
/// Types of entries.
const INT32: u32 = 4;
const STRING: u32 = 6;

/// Lists the installed packages of an image below a root. Databases that are not read are added to `unread`.
pub fn packages(image: &Tree, root: &str, unread: &mut Vec<String>) -> Vec<Package> {
    let mut packages = Vec::new();
    // The second is often a symbolic link's path to the first.
    for directory in DIRECTORIES {
        let file = |name: &str| {
            let path = format!("{directory}/{name}");
            match &node(image, root, &path)?.kind {
                NodeKind::File(content) if !content.is_empty() => Some((join(root, &path), content)),
                _ => None,
            }
        };
        if let Some((path, content)) = file(SQLITE) {
            let distribution = distribution(image, root).unwrap_or_default();
            match read(content, &distribution, &path) {
                _ if file(WAL).is_some() => unread.push(format!("{path} (RPM database with a write-ahead log)")),
                Some(found) => packages = found,
                None => unread.push(format!("{path} (corrupt RPM database)")),
            }
        }
        for (name, format) in OTHERS {
            unread.extend(file(name).map(|(path, _)| format!("{path} (RPM database, {format})")));
        }
        let names = OTHERS.map(|(name, _)| name);
        if names.into_iter().chain([SQLITE]).any(|name| file(name).is_some()) {
            break;
        }
    }
    packages
}

/// Reads the packages of a database; none if it is corrupt.
fn read(content: &Extents, distribution: &str, path: &str) -> Option<Vec<Package>> {
    let mut packages = Vec::new();
    let mut is_corrupt = false;
    Database::open(content)?.table("Packages", &mut |row| {
        let header = row.get(1).and_then(|value| match value {
            Value::Bytes(bytes) => Header::parse(bytes),
            _ => None,
        });
        match header.and_then(|header| header.package(distribution, path)) {
            Some(package) if package.name == PUBLIC_KEY => {}
            Some(package) => packages.push(package),
            None => is_corrupt = true,
        }
    })?;
    (!is_corrupt).then_some(packages)
}

/// Header of a package.
struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let count = usize::try_from(word(bytes, 0)?)
            .ok()
            .filter(|count| *count <= MAX_ENTRIES)?;
        let len = usize::try_from(word(bytes, 1)?).ok()?;
        let (entries, data) = bytes.get(8..)?.split_at_checked(count * 16)?;
        let data = data.get(..len)?;
        Some(Header { entries, data })
    }

    /// Returns the data of a tag, from its first byte on.
    fn find(&self, tag: u32, kind: u32) -> Option<&'a [u8]> {
        let mut entries = self.entries.chunks_exact(16);
        let entry = entries.find(|entry| word(entry, 0) == Some(tag) && word(entry, 1) == Some(kind))?;
        self.data.get(usize::try_from(word(entry, 2)?).ok()?..)
    }

    fn text(&self, tag: u32) -> Option<String> {
        let text = self.find(tag, STRING)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty())
    }

    fn package(&self, distribution: &str, path: &str) -> Option<Package> {
        let name = self.text(NAME)?;
        let version = format!("{}-{}", self.text(VERSION)?, self.text(RELEASE)?);
        let epoch = self.find(EPOCH, INT32).and_then(|data| word(data, 0));
        let epoch = epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
        let arch = self.text(ARCH).unwrap_or_default();
        let qualifiers = [("arch", arch.as_str()), ("epoch", epoch.as_str())];
        let purl = purl::format(Kind::Rpm.name(), distribution, &name, &version, &qualifiers);
        Some(Package {
            kind: Kind::Rpm,
            name,
            version: if epoch.is_empty() {
                version
            } else {
                format!("{epoch}:{version}")
            },
            purl: Some(purl),
            license: self.text(LICENSE),
            source: self.text(SOURCE),
            found_in: Some(path.to_owned()),
        })
    }
}

/// Reads a number of four bytes, by its place among such.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at * 4..at * 4 + 4)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A header with texts and an epoch.
    fn header(texts: &[(u32, &str)], epoch: u32) -> Vec<u8> {
        let mut data = epoch.to_be_bytes().to_vec();
        let mut entries: Vec<u32> = vec![EPOCH, INT32, 0, 1];
        for (tag, text) in texts {
            entries.extend([*tag, STRING, data.len() as u32, 1]);
            data.extend_from_slice(text.as_bytes());
            data.push(0);
        }
        let head = [entries.len() as u32 / 4, data.len() as u32];
        let words = head.iter().chain(&entries).flat_map(|word| word.to_be_bytes());
        words.chain(data.iter().copied()).collect()
    }

    #[test]
    fn fields_of_a_header_are_read() {
        let texts = [
            (NAME, "bash"),
            (VERSION, "5.2"),
            (RELEASE, "1.fc40"),
            (ARCH, "x86_64"),
            (LICENSE, "GPL-3.0-or-later"),
            (SOURCE, "bash-5.2-1.fc40.src.rpm"),
        ];
        let bytes = header(&texts, 2);
        let package = Header::parse(&bytes).unwrap().package("fedora", "db").unwrap();
        assert_eq!(package.version, "2:5.2-1.fc40");
        assert_eq!(
            package.purl.as_deref(),
            Some("pkg:rpm/fedora/bash@5.2-1.fc40?arch=x86_64&epoch=2")
        );
        assert_eq!(package.license.as_deref(), Some("GPL-3.0-or-later"));
        assert_eq!(package.source.as_deref(), Some("bash-5.2-1.fc40.src.rpm"));
        // Cut anywhere, it is corrupt.
        for len in 0..bytes.len() {
            let parsed = Header::parse(&bytes[..len]);
            assert!(parsed.is_none(), "{len}");
        }
        let nameless = header(&texts[1..], 0);
        assert!(Header::parse(&nameless).unwrap().package("", "").is_none());
    }
}
