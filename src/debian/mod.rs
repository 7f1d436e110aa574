//! Debian packages: the archive format, versions, and where packages come from.

pub mod deb;
mod fetch;
mod sources;
pub mod version;

use std::path::PathBuf;

use tree::{Meta, Time};

use crate::arch::Arch;
use crate::time;
pub use fetch::fetch;

/// Origin of packages.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cache directory, which has the state of apt-get too.
    pub store: PathBuf,
    /// Architecture of the packages.
    pub arch: Arch,
    /// Directory of .deb files to use in place of apt-get.
    pub debs: Option<PathBuf>,
}

/// Root's metadata of the default time.
fn meta(mode: u32) -> Meta {
    Meta::new(mode, Time::from_seconds(time::DEFAULT))
}
