//! An image, found.

use oci_spec::image::ImageConfiguration;

use super::Location;

/// An image for one architecture, with its manifest and configuration verified.
#[derive(Clone, Debug)]
pub struct Image {
    /// The canonical reference under which it was asked for.
    pub name: String,
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
