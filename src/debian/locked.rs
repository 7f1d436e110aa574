//! Packages of the versions that a lock has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Extents, FileBlob};

use super::error::Error;
use super::{LockedDeb, Query, deb, directory};
use crate::arch::Arch;

/// Returns the .deb files of a directory that a lock names, in its order.
///
/// # Errors
/// A file that is not there, and a directory that cannot be read.
pub fn select(locked: &[&LockedDeb], directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for file in directory::list(directory)? {
        files.push((sha256(&file)?, file));
    }
    let find = |deb: &&LockedDeb| {
        let found = files.iter().find(|(sha256, _)| *sha256 == deb.sha256);
        found
            .map(|(_, file)| file.clone())
            .ok_or_else(|| missing(deb, directory))
    };
    locked.iter().map(find).collect()
}

/// Returns the error for a package that a directory lacks in the version of the lock.
pub fn missing(deb: &LockedDeb, directory: &Path) -> Error {
    Error::Locked {
        package: deb.name.clone(),
        version: deb.version.clone(),
        arch: deb.arch.clone(),
        directory: directory.to_owned(),
    }
}

/// Returns what a lock records about a .deb file.
///
/// # Errors
/// A file that cannot be read or is not a Debian package.
pub fn describe(file: &Path, query: &Query, arch: Arch) -> Result<LockedDeb, Error> {
    let control = deb::control(file)?;
    let field = |key: &str| control.get(key).cloned().unwrap_or_default();
    Ok(LockedDeb {
        arch: arch.to_string(),
        query: query.to_string(),
        name: field("Package"),
        version: field("Version"),
        sha256: sha256(file)?,
    })
}

/// Computes the SHA-256 of a file, in hexadecimal digits.
pub fn sha256(file: &Path) -> Result<String, Error> {
    let failed = |source| Error::File {
        action: "read",
        path: file.to_owned(),
        source,
    };
    let blob = FileBlob::open(file).map_err(failed)?;
    let digest = crate::oci::digest_of(&Extents::from_blob(Arc::new(blob))).map_err(failed)?;
    Ok(digest.trim_start_matches("sha256:").to_owned())
}
