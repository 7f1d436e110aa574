//! Debian packages: the archive format, versions, and the places that packages come from.

mod apt;
pub mod deb;
mod directory;
mod error;
mod locked;
mod sources;
pub mod version;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
pub use error::{Error, Invalid, Output};

/// Origin of packages.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cache directory, which also holds the state of apt-get.
    pub store: PathBuf,
    /// Architecture of the packages.
    pub arch: Arch,
    /// Directory of .deb files to use in place of apt-get.
    pub debs: Option<PathBuf>,
    /// Versions of a lock. A query that is not among them gets the newest ones.
    pub locked: Vec<LockedDeb>,
    /// Asks the package archive again for what an earlier build has fetched.
    pub refresh: bool,
}

/// Packages that are fetched together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Names of the packages.
    pub packages: Vec<String>,
    /// Component of the archive that is searched in addition to `main`.
    pub component: Option<String>,
    /// Includes the dependencies.
    pub closure: bool,
}

/// Names the query in lock files.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.packages.join(" "))?;
        if self.closure {
            f.write_str(" with dependencies")?;
        }
        match &self.component {
            Some(component) => write!(f, " from {component}"),
            None => Ok(()),
        }
    }
}

/// Version of a Debian package in a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDeb {
    /// Architecture that was asked for.
    pub arch: String,
    /// Query, as text.
    pub query: String,
    /// Name of the package.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the .deb file, in hexadecimal digits.
    pub sha256: String,
}

/// Returns the .deb files of a query, sorted by name.
///
/// # Errors
/// Packages that are not there, an unreachable network, and files that are not Debian packages or
/// not those of the lock.
pub fn fetch(query: &Query, options: &Options) -> Result<Vec<PathBuf>, Error> {
    let text = query.to_string();
    let is_of_query = |deb: &&LockedDeb| deb.query == text && deb.arch == options.arch.name();
    let locked: Vec<&LockedDeb> = options.locked.iter().filter(is_of_query).collect();
    match &options.debs {
        Some(directory) if locked.is_empty() => {
            directory::select(&query.packages, query.closure, directory, options.arch)
        }
        Some(directory) => locked::select(&locked, directory),
        None if locked.is_empty() => apt::fetch(query, options),
        None => apt::fetch_locked(query, &locked, options),
    }
}

/// Returns what a lock records about the .deb files of a query.
///
/// # Errors
/// The errors of [`fetch`].
pub fn lock(query: &Query, options: &Options) -> Result<Vec<LockedDeb>, Error> {
    let files = fetch(query, options)?;
    files
        .iter()
        .map(|file| locked::describe(file, query, options.arch))
        .collect()
}

/// Verifies the packages that earlier builds have fetched. Returns the number of intact files, and the
/// lists of those that are not.
pub fn verify(cache: &Path) -> (usize, Vec<PathBuf>) {
    apt::verify(cache)
}
