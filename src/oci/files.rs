//! Files of a layout: its blobs, those of other layouts that complete it, and files that a bundle has
//! beside them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::Slice;
use serde::de::DeserializeOwned;

use super::blob::{Member, Range, members, read_json, verify};
use super::graph::blob_path;
use super::{Error, Layout, Location};

/// Files of a directory or archive.
#[derive(Clone, Debug)]
pub struct Files {
    path: PathBuf,
    /// Members of an archive.
    members: Option<Arc<BTreeMap<String, Range>>>,
}

impl Files {
    /// Lists the files of an archive; those of a directory are looked up when they are needed.
    pub(super) fn open(path: &Path, is_archive: bool) -> io::Result<Files> {
        let members = if is_archive {
            Some(Arc::new(members(path)?))
        } else {
            None
        };
        Ok(Files {
            path: path.to_owned(),
            members,
        })
    }

    /// Returns whether there is a file of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        match &self.members {
            Some(members) => members.contains_key(path),
            None => self.path.join(path).exists(),
        }
    }

    /// Returns the place of a file, which need not exist.
    pub(super) fn location(&self, path: &str) -> Location {
        if let Some(members) = &self.members {
            return Location {
                file: self.path.clone(),
                member: Some(Member {
                    name: path.to_owned(),
                    range: members.get(path).copied(),
                }),
            };
        }
        Location {
            file: self.path.join(path),
            member: None,
        }
    }
}

impl Layout {
    /// Completes the layout by the blobs of others: an archive may hold only what is new.
    pub fn complete(&mut self, others: Vec<Files>) {
        self.others = others;
    }

    /// Returns the files of the layout, to complete others.
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// Returns the place of a blob: here, else in a layout that completes this one.
    pub(super) fn blob_location(&self, digest: &str) -> Location {
        // The digest type has checked algorithm and characters: it cannot contain a path.
        let path = blob_path(digest);
        let mut all = std::iter::once(&self.files).chain(&self.others);
        all.find(|files| files.has(&path))
            .unwrap_or(&self.files)
            .location(&path)
    }

    /// Returns whether a blob is in this layout, and not in one that completes it.
    pub fn has_digest(&self, digest: &str) -> bool {
        is_sha256(digest) && self.files.has(&blob_path(digest))
    }

    /// Opens and verifies a blob.
    ///
    /// # Errors
    /// A blob that is missing or corrupt.
    pub fn blob_of(&self, digest: &str, size: u64) -> Result<Slice, Error> {
        if !is_sha256(digest) {
            return Err(Error::NotAnImage {
                name: self.path().display().to_string(),
                reason: format!("{digest:?} is not a SHA-256 digest"),
            });
        }
        self.verified(self.blob_location(digest), size, digest)
    }

    /// Opens and verifies a file beside the blobs.
    ///
    /// # Errors
    /// A file that is missing, corrupt or outside of the layout.
    pub fn file(&self, path: &str, size: u64, digest: &str) -> Result<Slice, Error> {
        let inside = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']);
        if !path.split('/').all(inside) {
            return Err(Error::NotAnImage {
                name: self.path().display().to_string(),
                reason: format!("it names {path:?}, which is outside of the archive"),
            });
        }
        self.verified(self.files.location(path), size, digest)
    }

    fn verified(&self, location: Location, size: u64, digest: &str) -> Result<Slice, Error> {
        let name = self.path().display().to_string();
        let slice = location.open(&name)?;
        verify(&name, &location, &slice, Some(size), digest)?;
        Ok(slice)
    }

    /// Reads a JSON file at the top of the layout; `None` if it is not there.
    ///
    /// # Errors
    /// A file of another kind.
    pub fn json_file<T: DeserializeOwned>(&self, path: &str, expected: &'static str) -> Result<Option<T>, Error> {
        if !self.files.has(path) {
            return Ok(None);
        }
        let name = self.path().display().to_string();
        let location = self.files.location(path);
        let slice = location.open(&name)?;
        read_json(&name, &location, &slice, expected).map(Some)
    }
}

fn is_sha256(digest: &str) -> bool {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}
