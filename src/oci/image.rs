//! Images and layers in a layout.

use extents::Slice;
use oci_spec::image::ImageConfiguration;

use super::{Error, Location};
use crate::arch::Arch;

/// Image for one architecture, with verified manifest and configuration.
#[derive(Clone, Debug)]
pub struct Image {
    /// Canonical reference that was asked for.
    pub name: String,
    /// Digests of the manifest and of the indexes above it; none in a `docker save` archive. A signature of
    /// one of them is a signature of the image.
    pub digests: Vec<String>,
    /// Bytes of the configuration, with all its fields.
    pub source: Slice,
    /// Configuration.
    pub config: ImageConfiguration,
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
}

/// Layer of an image.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Name of the image, for messages.
    pub image: String,
    /// Place of the blob.
    pub location: Location,
    /// Size and digest of the blob; a `docker save` archive does not have them.
    pub expected: Option<(u64, String)>,
    /// Digest of the decompressed tar: `sha256:` and 64 hexadecimal digits.
    pub diff_id: String,
    /// Architecture of the image, for messages; `None` if it is unknown.
    pub arch: Option<Arch>,
}

impl Layer {
    /// Opens the blob.
    ///
    /// # Errors
    /// A blob that is missing or cannot be read.
    pub(crate) fn open(&self) -> Result<Slice, Error> {
        let opened = self.location.open(&self.image);
        opened.map_err(|error| error.with_arch(self.arch))
    }

    /// Returns the digest of the layer, for messages.
    pub fn digest(&self) -> &str {
        self.expected.as_ref().map_or(&self.diff_id, |(_, digest)| digest)
    }
}

impl Image {
    /// Returns the image if its configuration names the architecture, or none.
    ///
    /// # Errors
    /// An image for another architecture.
    pub(super) fn for_arch(self, arch: Arch) -> Result<Image, Error> {
        match self.config.architecture().to_string() {
            own if own.is_empty() || own == arch.name() => Ok(self),
            own => Err(Error::Architecture {
                name: self.name,
                wanted: arch.platform(),
                found: vec![format!("{}/{own}", self.config.os())],
            }),
        }
    }

    /// Returns the image under another name.
    pub(crate) fn named(mut self, name: &str) -> Image {
        name.clone_into(&mut self.name);
        for layer in &mut self.layers {
            name.clone_into(&mut layer.image);
        }
        self
    }

    /// Computes the digest of the configuration.
    ///
    /// # Errors
    /// Read errors.
    pub fn config_digest(&self) -> std::io::Result<String> {
        super::digest_of(&extents::Extents::from_slice(self.source.clone()))
    }

    /// Returns the digest of the manifest; a `docker save` archive has none.
    pub fn digest(&self) -> Option<&str> {
        self.digests.first().map(String::as_str)
    }

    /// Returns a label of the configuration.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config
            .config()
            .as_ref()?
            .labels()
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }
}
