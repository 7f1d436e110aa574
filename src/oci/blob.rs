//! Blobs of layouts: their places, their verification, and JSON in them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Blob, Extents, FileBlob, Slice};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Error;
use super::graph::digest_of;
use crate::diagnostic::size;

/// Maximum length of an index, manifest or configuration, in bytes. Registries accept manifests of up to
/// 4 MiB.
pub(super) const MAX_JSON: u64 = 16 << 20;
/// Maximum number of members of an archive, which usually has one for each blob.
const MAX_MEMBERS: usize = 100_000;

/// Place of a blob: a file, or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// File or archive.
    pub file: PathBuf,
    /// Member, in an archive.
    pub member: Option<Member>,
}

/// Member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub name: String,
    /// Offset and length in bytes; `None` if the archive has no such member.
    pub range: Option<Range>,
}

/// Offset and length of a member in its archive, in bytes.
pub type Range = (u64, u64);

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            None => write!(f, "{}", self.file.display()),
            Some(member) => write!(f, "{} in {}", member.name, self.file.display()),
        }
    }
}

impl Location {
    /// Opens the blob.
    pub(crate) fn open(&self, name: &str) -> Result<Slice, Error> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing {
                name: name.to_owned(),
                location: self.clone(),
                arch: None,
            },
            _ => Error::Read {
                name: name.to_owned(),
                location: self.clone(),
                source,
            },
        };
        let file: Arc<dyn Blob> = Arc::new(FileBlob::open(&self.file).map_err(failed)?);
        let Some(member) = &self.member else {
            return Ok(Slice::from_blob(file));
        };
        let missing = || Error::Missing {
            name: name.to_owned(),
            location: self.clone(),
            arch: None,
        };
        let (start, len) = member.range.ok_or_else(missing)?;
        Slice::new(file, start, len).ok_or_else(missing)
    }
}

/// Lists the regular files of an archive: offset and length in bytes.
pub(super) fn members(path: &Path) -> io::Result<BTreeMap<String, Range>> {
    let blob = Arc::new(FileBlob::open(path)?);
    let archive = Extents::from_blob(blob);
    let mut members = BTreeMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    for entry in pax::entries(&archive) {
        let entry = entry.map_err(io::Error::other)?;
        if members.len() + links.len() == MAX_MEMBERS {
            return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} members")));
        }
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        match &entry.body {
            pax::Body::Node(tree::Kind::File(content)) => {
                let start = content.extents().first().map_or(0, |extent| match extent.data() {
                    extents::Data::Slice(slice) => slice.offset(),
                    extents::Data::Bytes { .. } => 0,
                });
                members.insert(name, (start, content.len()));
            }
            // Old versions of `docker save` store a layer that two images share as a link.
            pax::Body::Node(tree::Kind::Symlink(target)) | pax::Body::Link(target) => {
                let target = String::from_utf8_lossy(target).into_owned();
                let target = target.trim_start_matches("../").trim_start_matches("./").to_owned();
                links.push((name, target));
            }
            _ => {}
        }
    }
    // Directories of layers have no order: a link may come before its target.
    for (name, target) in links {
        if let Some(found) = members.get(&target).copied() {
            members.insert(name, found);
        }
    }
    Ok(members)
}

/// Describes an archive that is not a tar.
pub(super) fn describe(path: &Path, error: &io::Error) -> String {
    let mut start = [0; 6];
    let read = std::fs::File::open(path).and_then(|mut file| io::Read::read(&mut file, &mut start));
    match (read, start) {
        (Ok(_), [0x1f, 0x8b, ..]) => "it is compressed with gzip; decompress it with gunzip first".into(),
        (Ok(_), [0x28, 0xb5, 0x2f, 0xfd, ..]) => "it is compressed with zstd; decompress it with unzstd first".into(),
        (Ok(_), [0xfd, b'7', b'z', ..]) => "it is compressed with xz; decompress it with unxz first".into(),
        _ => error.to_string(),
    }
}

/// Parses the JSON in a blob.
///
/// # Errors
/// A blob that cannot be read, is too long, or is not what is expected.
pub(super) fn read_json<T: DeserializeOwned>(
    name: &str,
    location: &Location,
    slice: &Slice,
    expected: &'static str,
) -> Result<T, Error> {
    check_json_len(name, location, slice, expected)?;
    let mut bytes = vec![0; slice.len() as usize];
    slice.read_exact_at(&mut bytes, 0).map_err(|source| Error::Read {
        name: name.to_owned(),
        location: location.clone(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Json {
        name: name.to_owned(),
        location: location.clone(),
        expected,
        message: error.to_string(),
    })
}

/// Checks that a JSON file is not too long, before anything is read of it.
///
/// # Errors
/// A file of more than 16 MiB.
pub(super) fn check_json_len(
    name: &str,
    location: &Location,
    slice: &Slice,
    expected: &'static str,
) -> Result<(), Error> {
    if slice.len() <= MAX_JSON {
        return Ok(());
    }
    Err(Error::Json {
        name: name.to_owned(),
        location: location.clone(),
        expected,
        message: format!("it has {}; at most {} are read", size(slice.len()), size(MAX_JSON)),
    })
}

/// Checks that the algorithm of a digest is supported.
///
/// # Errors
/// An algorithm other than SHA-256.
pub(super) fn check_algorithm(name: &str, digest: &str) -> Result<(), Error> {
    if digest.starts_with("sha256:") {
        return Ok(());
    }
    Err(Error::NotAnImage {
        name: name.to_owned(),
        reason: format!("it has the digest {digest}; only sha256 is supported"),
    })
}

/// Compares a blob with size and digest.
///
/// # Errors
/// A blob that differs, or cannot be read.
pub(crate) fn verify(
    name: &str,
    location: &Location,
    slice: &Slice,
    len: Option<u64>,
    digest: &str,
) -> Result<(), Error> {
    let mismatch = |property, expected: String, found: String| Error::Mismatch {
        name: name.to_owned(),
        location: location.clone(),
        property,
        expected,
        found,
        arch: None,
    };
    check_algorithm(name, digest)?;
    if let Some(len) = len
        && len != slice.len()
    {
        let found = format!("{} bytes", slice.len());
        return Err(mismatch("size", format!("{len} bytes"), found));
    }
    let found = digest_of(&Extents::from_slice(slice.clone())).map_err(|source| Error::Read {
        name: name.to_owned(),
        location: location.clone(),
        source,
    })?;
    if found != digest {
        return Err(mismatch("digest", digest.to_owned(), found));
    }
    Ok(())
}

/// Returns a hash as a digest: `sha256:` and hexadecimal digits.
pub(crate) fn digest(hash: Sha256) -> String {
    use std::fmt::Write;
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
