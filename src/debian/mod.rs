//! Debian packages: the archive format, versions, and the places that packages come from.

mod apt;
pub mod deb;
mod directory;
mod error;
mod sources;
pub mod version;

use std::path::PathBuf;

use tree::{Meta, Time};

use crate::arch::Arch;
use crate::time;
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
}

/// Returns the .deb files of `packages`, sorted by name. With `closure`, their dependencies are
/// included. `component` is searched in addition to the component `main` of the archive.
///
/// # Errors
/// Packages that are not there, an unreachable network, and files that are not Debian packages.
pub fn fetch(
    packages: &[String],
    component: Option<&str>,
    closure: bool,
    options: &Options,
) -> Result<Vec<PathBuf>, Error> {
    if let Some(directory) = &options.debs {
        directory::select(packages, closure, directory, options.arch)
    } else {
        apt::fetch(packages, component, closure, options)
    }
}

/// Root's metadata of the default time.
fn meta(mode: u32) -> Meta {
    Meta::new(mode, Time::from_seconds(time::DEFAULT))
}
