//! The description of a build.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use extents::Slice;

use crate::arch::Arch;
use crate::codec::compress::Compression;
use crate::config::Config;
use crate::lock::Lock;
use crate::pieces;
use crate::plan;
use crate::plan::formats::{Format, Root, RootMount};
use crate::program;
use crate::store;
use crate::trust::Policy;
#[cfg(feature = "sign")]
use crate::trust::sign::PrivateKey;

/// A build: what to build, from which images, and where to.
#[derive(Clone, Debug)]
pub struct Request {
    /// The merged YAML, which [`crate::assemble::check`] has passed.
    pub config: Config,
    /// Architecture.
    pub arch: Arch,
    /// Output formats.
    pub formats: Vec<&'static Format>,
    /// Destination of the outputs.
    pub target: Target,
    /// Name of the build, which file names begin with.
    pub name: String,
    /// Sources of images.
    pub image_sources: store::Options,
    /// Policy for the signatures of images, if there is one.
    pub policy: Option<Policy>,
    /// Registries from which missing images are pulled, if the network may be used.
    #[cfg(feature = "registry")]
    pub registry: Option<Registry>,
    /// Lock of the YAML. `image_sources` has its pins.
    pub lock: Option<Lock>,
    /// Files that the YAML names, by their paths in it, if the YAML comes from a bundle. They are then read
    /// from the bundle only, not from disk.
    pub sources: Option<BTreeMap<String, Slice>>,
    /// Directory of .deb files for packages that are built, in place of apt-get.
    pub debs: Option<PathBuf>,
    /// Compression of initrds, squashfs, EROFS and OCI layers.
    pub compression: Option<Compression>,
    /// Compression of disk images.
    pub disk_compression: Option<Compression>,
    /// Location of the root filesystem; `None` for that of each format.
    pub root: Option<Root>,
    /// True if dm-verity verifies the root filesystem, for formats that mount it.
    pub verity: bool,
    /// Length of disks in bytes; `None` for the minimum.
    pub size: Option<u64>,
    /// True if the kernel is stored decompressed.
    pub decompress_kernel: bool,
    /// SBOM in the root filesystem, if one is written.
    pub sbom: Option<Sbom>,
    /// Documents that are written beside the outputs.
    pub documents: Vec<Document>,
    /// Key that signs the provenance.
    #[cfg(feature = "sign")]
    pub provenance_key: Option<ProvenanceKey>,
    /// Time of generated files, in seconds since 1970.
    pub time: i64,
    /// Use of the outputs of an earlier build.
    pub reuse: Reuse,
    /// Maximum length of the cached pieces in bytes; `None` for the default.
    pub cache_size: Option<u64>,
    /// Number of threads.
    pub jobs: usize,
}

/// Use of the outputs of an earlier build of the same inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Use those that have the size and the modification time that they were written with.
    #[default]
    BySizeAndTime,
    /// Read them, and use those that have the content that they were written with.
    ByContent,
    /// Build them again.
    Never,
}

/// Access to registries.
#[cfg(feature = "registry")]
#[derive(Clone, Debug)]
pub struct Registry {
    /// Client.
    pub client: std::sync::Arc<crate::oci::registry::Client>,
    /// True if images that the cache has are pulled again, since their tags may have moved.
    pub refresh: bool,
}

/// Destination of outputs.
#[derive(Clone, Debug)]
pub enum Target {
    /// Files in a directory.
    Directory(PathBuf),
    /// One file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// Key that signs the provenance.
#[cfg(feature = "sign")]
#[derive(Clone)]
pub struct ProvenanceKey(pub std::sync::Arc<PrivateKey>);

#[cfg(feature = "sign")]
impl std::fmt::Debug for ProvenanceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProvenanceKey({})", self.0.public().fingerprint())
    }
}

/// Document about a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// SBOM in SPDX 2.3.
    Spdx,
    /// SBOM in CycloneDX 1.6.
    CycloneDx,
    /// Provenance, and the sources of files.
    Provenance,
}

impl Document {
    /// Suffix of the file name, after the name of the build.
    pub fn suffix(self) -> &'static str {
        match self {
            Document::Spdx => ".spdx.json",
            Document::CycloneDx => ".cdx.json",
            Document::Provenance => ".provenance.json",
        }
    }
}

/// Options of the SBOM in the root filesystem.
#[derive(Clone, Debug)]
pub struct Sbom {
    /// Path in the root filesystem.
    pub path: String,
    /// Time of its creation, in seconds since 1970.
    pub time: i64,
}

impl Target {
    /// Returns the path of an output, or of a document beside the outputs. `None` for standard output.
    pub fn path(&self, name: &str, suffix: &str, is_document: bool) -> Option<PathBuf> {
        match self {
            Target::Stdout => None,
            Target::File(path) if is_document => {
                let mut path = path.clone().into_os_string();
                path.push(suffix);
                Some(path.into())
            }
            Target::File(path) => Some(path.clone()),
            Target::Directory(dir) => Some(dir.join(format!("{name}{suffix}"))),
        }
    }

    /// Returns the directory for temporary files: if possible, one from which outputs can be renamed.
    pub fn temp_dir(&self) -> PathBuf {
        let or_current = |dir: PathBuf| if dir.as_os_str().is_empty() { ".".into() } else { dir };
        match self {
            Target::Directory(dir) => or_current(dir.clone()),
            Target::File(file) if !extents::emit::is_stream(file) => {
                or_current(file.parent().map(PathBuf::from).unwrap_or_default())
            }
            Target::File(_) | Target::Stdout => std::env::temp_dir(),
        }
    }
}

impl Request {
    /// Returns the mount of a format's root filesystem.
    pub fn root_mount(&self, format: &Format) -> RootMount {
        format.root_mount(format.root(self.root), self.verity)
    }

    /// Returns the options of the piece cache. Pieces of others are not verified, so a policy forbids them.
    pub fn piece_options(&self) -> pieces::Options {
        let shared = self.image_sources.shared.iter().filter(|_| self.policy.is_none());
        pieces::Options {
            cache: self.image_sources.cache.clone(),
            shared: shared.cloned().collect(),
            max_len: self.cache_size,
            program: program::identity().unwrap_or_default(),
            rebuild: self.reuse == Reuse::Never,
        }
    }

    /// Returns the options of the outputs.
    pub fn output_options(&self) -> plan::Options {
        plan::Options {
            name: self.name.clone(),
            arch: self.arch,
            compression: self.compression,
            disk_compression: self.disk_compression,
            root: self.root,
            verity: self.verity,
            size: self.size,
            timeout: self.config.boot.timeout.unwrap_or(0),
            time: self.time,
            temp_dir: self.target.temp_dir(),
            pieces: Arc::default(),
            jobs: self.jobs,
        }
    }
}
