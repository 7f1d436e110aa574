//! Errors in fetching and reading Debian packages.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::arch::Arch;
use crate::diagnostic::Diagnostic;

/// A reason why Debian packages cannot be fetched or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// Verb: `read`, `write`.
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file is not a valid Debian package.
    #[error("{} is not a Debian package: {source}", path.display())]
    Deb {
        /// File.
        path: PathBuf,
        /// Finding.
        source: Invalid,
    },
    /// A Debian package cannot be unpacked.
    #[error("cannot unpack {}: {source}", path.display())]
    Unpack {
        /// File.
        path: PathBuf,
        /// Path that the tree refuses.
        source: tree::Error,
    },
    /// A directory of .deb files lacks a package.
    #[error("cannot find package {package} for {arch} in {}", directory.display())]
    NoPackage {
        /// Name of the package.
        package: String,
        /// Architecture asked for.
        arch: Arch,
        /// Directory of .deb files.
        directory: PathBuf,
    },
    /// No file is the package of the lock.
    #[error("cannot find {package} {version} for {arch}, which the lock has, in {}", directory.display())]
    Locked {
        /// Name of the package.
        package: String,
        /// Version in the lock.
        version: String,
        /// Architecture asked for.
        arch: String,
        /// Directory of .deb files.
        directory: PathBuf,
    },
    /// A program of apt cannot be run.
    #[error("cannot run {program}: {source}")]
    Program {
        /// Name of the program.
        program: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
    /// apt-get cannot reach the package archive.
    #[error("cannot fetch {packages}: {} is unreachable: {reason}", host.as_deref().unwrap_or("the package archive"))]
    Offline {
        /// Names of the packages.
        packages: String,
        /// Server of the archive.
        host: Option<String>,
        /// Reason that apt-get gives.
        reason: String,
        /// Standard error of apt-get.
        source: Output,
    },
    /// apt-get fails.
    #[error("cannot fetch {packages}: {reason}")]
    Apt {
        /// Names of the packages.
        packages: String,
        /// First error that apt-get prints.
        reason: String,
        /// Standard error of apt-get.
        source: Output,
    },
}

impl Error {
    /// Returns the remedy, if there is one.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Locked { .. } => Some(
                "put its .deb file into a directory for --debs, or run `moby lock --update FILE` for the newest version"
                    .into(),
            ),
            Error::NoPackage { .. } => {
                Some("put its .deb file into the directory, or omit --debs to fetch it with apt-get".into())
            }
            Error::Program { .. } => Some("on a host without apt, use --debs with a directory of .deb files".into()),
            Error::Offline { .. } => {
                Some("connect this machine to the network, or use --debs with a directory of .deb files".into())
            }
            Error::Apt { .. } => {
                Some("check the name and the version with `apt-cache policy NAME`, or use --debs with a directory of .deb files".into())
            }
            Error::File { .. } | Error::Deb { .. } | Error::Unpack { .. } => None,
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        let mut diagnostic = Diagnostic::error(error.to_string());
        diagnostic.help.extend(error.help());
        diagnostic.caused_by(error)
    }
}

/// Standard error of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output(pub String);

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Output {}

/// A violation of deb(5).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The file is not an ar archive.
    #[error("not an ar archive")]
    NotAr,
    /// A header of the ar archive is corrupt.
    #[error("a corrupt ar header")]
    Header,
    /// A member of the ar archive ends too early.
    #[error("it is truncated")]
    Truncated,
    /// A tar archive is missing.
    #[error("it has no {0}.tar")]
    NoMember(&'static str),
    /// A tar archive cannot be decompressed.
    #[error("cannot decompress it: {0}")]
    Decompress(#[from] io::Error),
    /// A tar archive is corrupt.
    #[error(transparent)]
    Tar(#[from] pax::ReadError),
    /// The control file names the package in a way that deb-control(5) does not allow.
    #[error("its name {0:?} is invalid")]
    Name(String),
    /// The control archive has no control file.
    #[error("it has no control file")]
    NoControl,
}
