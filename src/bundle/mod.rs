//! Bundles: one OCI archive with everything that YAML files need, to carry across an air gap.
//!
//! ```text
//! oci-layout, index.json, blobs/sha256/...   the images, as any OCI archive has them
//! files/...                                  YAML files, locks, and files that the YAML names
//! bundle.json                                the manifest: digests of all of them
//! ```

mod create;
mod verify;

use std::path::Path;

use extents::Slice;
use serde::{Deserialize, Serialize};

use crate::json_lines::{self, line, list};
use crate::oci::{Error, Layout};

pub use create::{Options, Yaml, create};
pub use verify::{Verified, verify};

/// Name of the manifest in the archive.
const MANIFEST: &str = "bundle.json";
/// Version of the format.
const VERSION: u32 = 1;

/// Manifest of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Digest of the manifest of the bundle that this one adds to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Blobs of the images.
    pub blobs: Vec<Blob>,
    /// Other files.
    pub files: Vec<File>,
    /// Images.
    pub images: Vec<Image>,
    /// Path of the policy for all YAML files, in place of those that they name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Version of the format.
    pub version: u32,
}

/// Blob of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// Digest.
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
    /// True if the base has the blob, and this archive does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base: bool,
}

/// File of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Kind.
    pub kind: Kind,
    /// Path as it was given on the command line, or as the YAML has it.
    pub path: String,
    /// Path in the archive.
    pub member: String,
    /// Digest.
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
}

/// Kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// YAML.
    Yaml,
    /// Lock of a YAML.
    Lock,
    /// File that a YAML names with `source:`.
    Source,
    /// Policy file.
    Policy,
    /// Public key or trusted root that a policy names.
    Key,
}

/// Image of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Canonical name.
    pub name: String,
    /// Digest of the index or manifest.
    pub digest: String,
    /// Platforms that are in the bundle.
    pub platforms: Vec<String>,
    /// Size of its blobs, in bytes, those of the base included.
    pub size: u64,
}

impl Manifest {
    /// Returns the text of the manifest. The items must be sorted.
    pub fn text(&self) -> String {
        let mut fields = Vec::new();
        fields.extend(self.base.as_ref().map(|base| ("base", line(base))));
        fields.extend([
            ("blobs", list(&self.blobs)),
            ("files", list(&self.files)),
            ("images", list(&self.images)),
        ]);
        fields.extend(self.policy.as_ref().map(|policy| ("policy", line(policy))));
        fields.push(("version", line(&self.version)));
        json_lines::object(&fields)
    }
}

/// Bundle that was opened.
#[derive(Debug)]
pub struct Bundle {
    /// Images.
    pub layout: Layout,
    /// Manifest.
    pub manifest: Manifest,
}

impl Bundle {
    /// Opens a bundle; `None` if the layout is another one. It may be unpacked.
    ///
    /// # Errors
    /// A path that is missing or is not a layout, and a manifest that is corrupt or of another version.
    pub fn open(path: &Path) -> Result<Option<Bundle>, Error> {
        let layout = Layout::open(path)?;
        let Some(manifest) = layout.json_file::<Manifest>(MANIFEST, "the manifest of a bundle")? else {
            return Ok(None);
        };
        if manifest.version != VERSION {
            return Err(Error::UnsupportedBundle {
                path: path.to_owned(),
                found: manifest.version,
                supported: VERSION,
            });
        }
        Ok(Some(Bundle { layout, manifest }))
    }

    /// Returns whether there is a file of a path.
    pub fn has(&self, kind: Kind, path: &str) -> bool {
        let mut files = self.manifest.files.iter();
        files.any(|file| file.kind == kind && file.path == path)
    }

    /// Finds a file by its path, and verifies it.
    ///
    /// # Errors
    /// A file that is missing or corrupt.
    pub fn file(&self, kind: Kind, path: &str) -> Result<Option<Slice>, Error> {
        let found = self
            .manifest
            .files
            .iter()
            .find(|file| file.kind == kind && file.path == path);
        found.map(|file| self.content(file)).transpose()
    }

    /// Opens and verifies a file.
    ///
    /// # Errors
    /// A file that is missing or corrupt.
    pub fn content(&self, file: &File) -> Result<Slice, Error> {
        self.layout.file(&file.member, file.size, &file.digest)
    }
}
