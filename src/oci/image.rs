//! An image, found.

use extents::Slice;
use oci_spec::image::ImageConfiguration;

use super::{Error, Location};
use crate::arch::Arch;

/// An image for one architecture, with its manifest and configuration verified.
#[derive(Clone, Debug)]
pub struct Image {
    /// The canonical reference under which it was asked for.
    pub name: String,
    /// The bytes of its configuration, which may have more fields than are known here.
    pub source: Slice,
    /// Its configuration.
    pub config: ImageConfiguration,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The image it belongs to, for messages.
    pub image: String,
    /// Where its bytes are.
    pub location: Location,
    /// Size and digest of the bytes; a `docker save` archive does not tell them.
    pub expected: Option<(u64, String)>,
    /// The digest of the decompressed tar: `sha256:` and 64 hexadecimal digits.
    pub diff_id: String,
}

impl Layer {
    /// The name of the layer in messages.
    pub fn digest(&self) -> &str {
        self.expected.as_ref().map_or(&self.diff_id, |(_, digest)| digest)
    }
}

impl Image {
    /// The same, if it is for an architecture, or for any.
    ///
    /// # Errors
    /// It is for another.
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

    /// A label of the configuration.
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
