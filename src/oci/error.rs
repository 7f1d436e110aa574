//! Errors of images and layouts.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Location;
use crate::arch::Arch;
use crate::diagnostic::{Diagnostic, Diagnostics, one_line, size};

/// Reason why an image or a layout cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layout that is missing or cannot be read.
    #[error("cannot read the image layout {}: {source}", path.display())]
    Open {
        /// Path of the layout.
        path: PathBuf,
        /// Underlying error.
        source: io::Error,
    },
    /// A path with neither a layout nor an archive of one.
    #[error("{} is not an image layout: {found}", path.display())]
    NotALayout {
        /// Path that was given.
        path: PathBuf,
        /// Finding.
        found: String,
    },
    /// A bundle of a version that this program cannot read.
    #[error(
        "cannot read the bundle {}: bundle.json has format version {found}, but this moby supports only version {supported}",
        path.display()
    )]
    UnsupportedBundle {
        /// Path of the bundle.
        path: PathBuf,
        /// Version in the manifest.
        found: u32,
        /// Version that this program can read.
        supported: u32,
    },
    /// No layout has an image of the name.
    #[error("no image {name}{}", Places(searched))]
    NotFound {
        /// Canonical reference.
        name: String,
        /// Layouts that were searched.
        searched: Vec<String>,
        /// Similar names in these layouts.
        similar: Vec<String>,
        /// Architecture that was asked for, if one was.
        arch: Option<Arch>,
    },
    /// An image without the architecture.
    #[error("the image {name} is not available for {wanted}, only for {}", found.join(", "))]
    Architecture {
        /// Canonical reference.
        name: String,
        /// Platform that was asked for.
        wanted: String,
        /// Platforms of the image, at least one.
        found: Vec<String>,
    },
    /// An image index without a usable entry.
    #[error("the index of {name} has no image for {wanted}: {found}")]
    EmptyIndex {
        /// Canonical reference.
        name: String,
        /// Platform that was asked for.
        wanted: String,
        /// Entries that the index has instead.
        found: String,
        /// Architecture that was asked for, if one was.
        arch: Option<Arch>,
    },
    /// A missing blob.
    #[error("{name}: the blob {location} is missing")]
    Missing {
        /// Image with the blob.
        name: String,
        /// Expected place.
        location: Location,
        /// Architecture of the image, if it is known.
        arch: Option<Arch>,
    },
    /// A blob that does not match its descriptor.
    #[error("{name}: {location} is corrupt: expected {property} {expected}, found {found}")]
    Mismatch {
        /// Image with the blob.
        name: String,
        /// Place of the blob.
        location: Location,
        /// Property that differs: "size", "digest" or "diff_id".
        property: &'static str,
        /// Value in the descriptor.
        expected: String,
        /// Value of the blob.
        found: String,
        /// Architecture of the image, if it is known.
        arch: Option<Arch>,
    },
    /// A blob that cannot be read.
    #[error("{name}: cannot read {location}: {source}")]
    Read {
        /// Image with the blob.
        name: String,
        /// Place of the blob.
        location: Location,
        /// Underlying error.
        source: io::Error,
    },
    /// JSON of another kind than expected, or no JSON.
    #[error("{name}: {location} is not {expected}: {message}")]
    Json {
        /// Image with the blob, or the layout.
        name: String,
        /// Place of the blob.
        location: Location,
        /// Kind that was expected: "an image manifest".
        expected: &'static str,
        /// Message of the parser.
        message: String,
    },
    /// An image that is not a usable container image.
    #[error("{name} is not a usable container image: {reason}")]
    NotAnImage {
        /// Canonical reference.
        name: String,
        /// Property that makes it unusable.
        reason: String,
    },
    /// A layer whose compression ratio no real layer has.
    #[error(
        "{name}: the layer {location} of {} expands to more than {}, the limit for a layer of its size",
        size(*compressed),
        size(*limit)
    )]
    Bomb {
        /// Image with the layer.
        name: String,
        /// Place of the layer.
        location: Location,
        /// Compressed size, in bytes.
        compressed: u64,
        /// Maximum decompressed size, in bytes.
        limit: u64,
    },
    /// A decompressed layer that cannot be written.
    #[error("cannot write a decompressed layer to {}: {source}", dir.display())]
    Write {
        /// Directory.
        dir: PathBuf,
        /// Underlying error.
        source: io::Error,
    },
    /// A file of a layout that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Update {
        /// File or directory.
        path: PathBuf,
        /// Underlying error.
        source: io::Error,
    },
    /// A file of a layout that must be read before it is replaced, and cannot be.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Message of the system or of the parser.
        reason: String,
    },
    /// A layer with a corrupt tar.
    #[error("{name}: the layer {digest} is corrupt: {source}")]
    Tar {
        /// Image with the layer.
        name: String,
        /// Digest of the layer.
        digest: String,
        /// Underlying error.
        source: pax::ReadError,
    },
    /// A tar entry that cannot be unpacked.
    #[error(
        "{name}: the layer {digest} has an entry that cannot be unpacked, {}: {source}",
        tree::brief(path)
    )]
    Entry {
        /// Image with the layer.
        name: String,
        /// Digest of the layer.
        digest: String,
        /// Name of the entry.
        path: Vec<u8>,
        /// Underlying error.
        source: tree::Error,
    },
    /// An image whose own SBOMs are too large.
    #[error("the SBOMs of {name} have more than {}", size(*max))]
    LargeSbom {
        /// Canonical reference.
        name: String,
        /// Limit in bytes.
        max: u64,
    },
    /// A decompressed layer in the cache that does not have its digest.
    #[error("the cached layer {} is corrupt: {found}", path.display())]
    CorruptCache {
        /// File.
        path: PathBuf,
        /// Finding, such as another digest.
        found: String,
    },
}

/// End of a message about a search: " in a, b".
struct Places<'a>(&'a [String]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str(": there is no layout to search")
        } else {
            write!(f, " in {}", self.0.join(", "))
        }
    }
}

impl Error {
    /// Returns the name of the image that the error is about.
    pub fn image(&self) -> Option<&str> {
        match self {
            Error::NotFound { name, .. }
            | Error::Architecture { name, .. }
            | Error::EmptyIndex { name, .. }
            | Error::LargeSbom { name, .. }
            | Error::Missing { name, .. }
            | Error::Mismatch { name, .. }
            | Error::Read { name, .. }
            | Error::Json { name, .. }
            | Error::NotAnImage { name, .. }
            | Error::Bomb { name, .. }
            | Error::Tar { name, .. }
            | Error::Entry { name, .. } => Some(name),
            Error::Open { .. }
            | Error::NotALayout { .. }
            | Error::UnsupportedBundle { .. }
            | Error::Write { .. }
            | Error::Update { .. }
            | Error::Unreadable { .. }
            | Error::CorruptCache { .. } => None,
        }
    }

    /// Sets the architecture of the image, so that the remedies pull the image for it.
    pub(crate) fn with_arch(mut self, wanted: Option<Arch>) -> Self {
        if let Error::NotFound { arch, .. }
        | Error::EmptyIndex { arch, .. }
        | Error::Missing { arch, .. }
        | Error::Mismatch { arch, .. } = &mut self
        {
            *arch = wanted;
        }
        self
    }

    /// Returns the remedies, each one command or edit.
    pub fn help(&self) -> Vec<String> {
        let help = match self {
            Error::NotALayout { .. } => {
                "--layout takes an OCI layout directory (with oci-layout, index.json and blobs), an OCI archive \
                 (a tar of one), or the output of `docker save`"
            }
            Error::NotFound {
                name, similar, arch, ..
            } => {
                let mut help: Vec<String> = similar.iter().map(|other| format!("did you mean `{other}`?")).collect();
                help.dedup();
                help.push(format!(
                    "run `{}`, or pass a layout or archive that has it with --layout",
                    pull_command(name, *arch)
                ));
                help.extend(crate::installed::help(name));
                return help;
            }
            Error::Architecture { found, .. } => return vec![other_architecture(found)],
            Error::EmptyIndex { name, arch, .. } => {
                let command = pull_command(name, *arch);
                return vec![format!("run `{command}`, which also pulls the manifests")];
            }
            Error::Mismatch {
                property: "diff_id", ..
            } => "use another image: the configuration of this one does not fit its layers",
            Error::UnsupportedBundle { .. } => {
                "use the moby that created it, or create it again with `moby bundle create`"
            }
            Error::Missing { name, location, arch }
            | Error::Mismatch {
                name, location, arch, ..
            } => {
                if location.file.starts_with(name) {
                    return vec![format!("replace {name} with a good copy")];
                }
                // An image without a name.
                if name.starts_with("sha256:") {
                    return vec!["run `moby cache import` with a good copy of the image".into()];
                }
                let command = pull_command(name, *arch);
                let mut help = vec![format!(
                    "run `{command}`; for a --layout, copy the image into it again, or omit it"
                )];
                help.extend(crate::installed::help(name));
                return help;
            }
            Error::Bomb { .. } => "to use this layer, store it uncompressed in the layout",
            Error::Write { .. } => "choose another directory with --cache",
            Error::Unreadable { .. } => {
                "the file is unchanged. Replace it with a good copy; without one, move it away, then import or build \
                 its images again"
            }
            Error::LargeSbom { .. } => "build with --no-sbom",
            Error::CorruptCache { .. } => "run `moby cache clean`; the next build decompresses the layer again",
            _ => return Vec::new(),
        };
        vec![help.to_owned()]
    }
}

/// Returns the command that pulls an image, for the host's architecture unless another one is given.
pub(crate) fn pull_command(name: &str, arch: Option<Arch>) -> String {
    let flag = arch.map(Arch::flag).unwrap_or_default();
    format!("moby cache pull {name}{flag}")
}

/// Returns the remedy for an image that lacks an architecture and has those of `platforms`
/// (`linux/arm64`).
pub(crate) fn other_architecture(platforms: &[String]) -> String {
    let usable = Arch::ALL.into_iter().filter(|arch| {
        let platform = arch.platform();
        platforms.iter().any(|found| {
            let variant = found.strip_prefix(&platform);
            variant.is_some_and(|variant| variant.is_empty() || variant.starts_with('/'))
        })
    });
    let flags: Vec<String> = usable.map(|arch| format!("`--arch {arch}`")).collect();
    if flags.is_empty() {
        "use another image".into()
    } else {
        format!(
            "use another image, or select an architecture that it has: {}",
            flags.join(" or ")
        )
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Diagnostic {
            help: error.help(),
            ..Diagnostic::error(one_line(&error.to_string())).caused_by(error)
        }
    }
}

impl From<&Error> for Diagnostic {
    fn from(error: &Error) -> Self {
        Diagnostic {
            help: error.help(),
            ..Diagnostic::error(one_line(&error.to_string()))
        }
    }
}

impl From<Error> for Diagnostics {
    fn from(error: Error) -> Self {
        Diagnostic::from(error).into()
    }
}
