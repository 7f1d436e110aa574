//! Digests that identify an image, without its layers.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest, Platform};

use super::layout::is_index;
use super::{Error, Layout};

/// Digests of an image and of its platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDigests {
    /// Digest of the index, or of the manifest of an image without one.
    pub digest: String,
    /// Media type of the index or manifest.
    pub media_type: String,
    /// Size of the index or manifest, in bytes.
    pub size: u64,
    /// Manifests of the platforms.
    pub platforms: Vec<PlatformDigests>,
}

/// Digests of an image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlatformDigests {
    /// Platform: `linux/amd64`.
    pub platform: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Size of the manifest, in bytes.
    pub size: u64,
    /// Digest of the configuration, if the manifest is known.
    pub config: Option<String>,
}

impl Layout {
    /// Returns the digests of an image; `None` if the layout has no image of the name.
    ///
    /// # Errors
    /// Indexes and manifests that are corrupt.
    pub fn digests(&self, name: &str) -> Result<Option<ImageDigests>, Error> {
        let Some(top) = self.find(name) else {
            return self.saved_digests(name);
        };
        let mut platforms = Vec::new();
        if is_index(top.media_type()) {
            for listed in self.below(name, top)? {
                let Some(platform) = platform_name(&listed) else {
                    continue;
                };
                let is_here = !is_index(listed.media_type()) && self.has_blob(&listed);
                let config = if is_here {
                    Some(self.manifest_config(name, &listed)?.digest().to_string())
                } else {
                    None
                };
                platforms.push(PlatformDigests {
                    platform,
                    digest: listed.digest().to_string(),
                    size: listed.size(),
                    config,
                });
            }
        } else {
            let config = self.manifest_config(name, top)?;
            platforms.push(PlatformDigests {
                platform: self.platform_of(name, top)?,
                digest: top.digest().to_string(),
                size: top.size(),
                config: Some(config.digest().to_string()),
            });
        }
        platforms.sort();
        platforms.dedup();
        Ok(Some(ImageDigests {
            digest: top.digest().to_string(),
            media_type: top.media_type().to_string(),
            size: top.size(),
            platforms,
        }))
    }

    /// Returns the platform in the configuration of a manifest.
    pub(super) fn platform_of(&self, name: &str, manifest: &Descriptor) -> Result<String, Error> {
        let config = self.manifest_config(name, manifest)?;
        let image: ImageConfiguration = self.json(name, &config, "an image configuration")?;
        Ok(format!("{}/{}", image.os(), image.architecture()))
    }

    fn manifest_config(&self, name: &str, descriptor: &Descriptor) -> Result<Descriptor, Error> {
        let manifest: ImageManifest = self.json(name, descriptor, "an image manifest")?;
        Ok(manifest.config().clone())
    }
}

/// Returns the platform of a descriptor; none for attestations.
pub(super) fn platform_name(descriptor: &Descriptor) -> Option<String> {
    let platform: &Platform = descriptor.platform().as_ref()?;
    let arch = platform.architecture().to_string();
    if arch == "unknown" {
        return None;
    }
    let variant = platform.variant().as_ref().map(|variant| format!("/{variant}"));
    Some(format!("{}/{arch}{}", platform.os(), variant.unwrap_or_default()))
}
