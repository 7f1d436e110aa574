//! SBOMs that BuildKit puts beside an image: in-toto statements with an SPDX document, in a
//! manifest of the same index that refers to the image's
//! (BuildKit, docs/attestations/attestation-storage.md).

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde_json::Value;

use super::layout::is_index;
use super::{Error, Layout};
use crate::arch::Arch;

/// Annotation with the kind of a manifest, and its value for attestations.
const TYPE: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");
/// Annotation with the digest of the attested manifest.
const SUBJECT: &str = "vnd.docker.reference.digest";
const IN_TOTO: &str = "application/vnd.in-toto+json";
const SPDX: &str = "https://spdx.dev/Document";
/// Maximum length of all statements about an image, in bytes. As values, they need many times as much.
const MAX_STATEMENTS: u64 = 16 << 20;

impl Layout {
    /// Reads the SPDX documents about an image for an architecture.
    ///
    /// # Errors
    /// Attestations that the index lists and that are missing, corrupt or too large.
    pub fn sboms(&self, name: &str, arch: Arch, descriptor: &Descriptor) -> Result<Vec<Value>, Error> {
        if !is_index(descriptor.media_type()) {
            return Ok(Vec::new());
        }
        let index: ImageIndex = self.json(name, descriptor, "an image index")?;
        let arch = oci_spec::image::Arch::from(arch.name());
        let image = index.manifests().iter().find(|manifest| {
            let platform = manifest.platform().as_ref();
            platform.is_some_and(|platform| platform.os().to_string() == "linux" && *platform.architecture() == arch)
        });
        let Some(image) = image else { return Ok(Vec::new()) };
        let mut documents = Vec::new();
        let mut len: u64 = 0;
        for manifest in index.manifests().iter().filter(|manifest| attests(manifest, image)) {
            let manifest: ImageManifest = self.json(name, manifest, "an attestation manifest")?;
            let statements = manifest.layers().iter();
            for layer in statements.filter(|layer| *layer.media_type() == MediaType::Other(IN_TOTO.into())) {
                len = len.saturating_add(layer.size());
                if len > MAX_STATEMENTS {
                    return Err(Error::LargeSbom {
                        name: name.to_owned(),
                        max: MAX_STATEMENTS,
                    });
                }
                let mut statement: Value = self.json(name, layer, "an in-toto statement")?;
                if statement.get("predicateType").and_then(Value::as_str) == Some(SPDX) {
                    documents.extend(statement.get_mut("predicate").map(Value::take));
                }
            }
        }
        Ok(documents)
    }
}

/// Returns whether a manifest has attestations about an image.
fn attests(manifest: &Descriptor, image: &Descriptor) -> bool {
    manifest.annotations().as_ref().is_some_and(|annotations| {
        annotations.get(TYPE.0).map(String::as_str) == Some(TYPE.1)
            && annotations.get(SUBJECT).map(String::as_str) == Some(image.digest().as_ref())
    })
}
