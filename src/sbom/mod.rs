//! Software bills of materials: packages found in a filesystem tree, and documents about them.
//!
//! ```text
//! databases of dpkg, apk and RPM, programs of Go and Rust ──scan──▶ Package ──▶ SPDX 2.3, CycloneDX 1.6
//!                           SPDX documents of the images ──spdx──▶
//! ```

pub mod apk;
pub mod bom;
pub mod cargo;
pub mod cyclonedx;
pub mod dpkg;
mod elf;
pub mod go;
mod license;
mod purl;
mod rpm;
mod scan;
pub mod spdx;
mod sqlite;

pub use scan::{Scan, distribution, scan};

/// Kind of a package, which is also the type in its package URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Package of Debian and its derivatives.
    Deb,
    /// Package of Alpine.
    Apk,
    /// Package of Fedora, SUSE and their derivatives.
    Rpm,
    /// Go module.
    Golang,
    /// Rust crate.
    Cargo,
    /// Something else.
    Generic,
}

impl Kind {
    /// Type in a package URL (purl specification, "Known purl types").
    pub fn name(self) -> &'static str {
        match self {
            Kind::Deb => "deb",
            Kind::Apk => "apk",
            Kind::Rpm => "rpm",
            Kind::Golang => "golang",
            Kind::Cargo => "cargo",
            Kind::Generic => "generic",
        }
    }
}

/// Package that is installed, or part of a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: String,
    /// Version; may be empty.
    pub version: String,
    /// Package URL.
    pub purl: Option<String>,
    /// License as the package states it.
    pub license: Option<String>,
    /// Name of the source package.
    pub source: Option<String>,
    /// Path of the database or program in which it was found, without a leading `/`.
    pub found_in: Option<String>,
}
