//! Signatures and other manifests that refer to an image.
//!
//! ```text
//! REPOSITORY:sha256-HEX.sig   cosign's signatures: one manifest, whose layers are payloads
//! REPOSITORY:sha256-HEX       index of the manifests whose `subject` is sha256:HEX
//! ```
//!
//! The second is the referrers tag schema (OCI Distribution Specification 1.1, "Referrers Tag Schema"). A
//! layout has both under the names that they have in a registry. Manifests with a `subject` may also be in
//! `index.json` without a name, as oras writes them, and signatures under the name of the image, as
//! `cosign save` writes them.

use std::collections::BTreeMap;
use std::io;

use extents::Extents;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::{Value, json};

use super::graph::{CONFIG, INDEX, MANIFEST, set};
use super::layout::is_index;
use super::{Error, ImageGraph, Layout, reference};

/// Media type of the payload of a signature of cosign.
pub const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Media type of an empty configuration (OCI Image Specification, "Guidance for an Empty Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Maximum length of a signature's manifest, payload or bundle, in bytes.
pub const MAX_SIGNATURE: u64 = 4 << 20;
/// Maximum number of signatures that are considered for one digest.
pub const MAX_SIGNATURES: usize = 100;
/// Maximum number of manifests without a name whose subject is read, in one layout.
const MAX_UNNAMED: usize = 1000;
/// Annotation of a descriptor with the kind of an entry, as `cosign save` writes it, and what its values
/// for signatures, attestations and SBOMs begin with, other than `dev.cosignproject.cosign/image`.
const KIND: &str = "kind";
const KINDS: [&str; 3] = [
    "dev.cosignproject.cosign/sigs",
    "dev.cosignproject.cosign/atts",
    "dev.cosignproject.cosign/sboms",
];

/// Signatures and other manifests that refer to one manifest or index.
#[derive(Clone, Debug, Default)]
pub struct Referrers {
    /// Payloads of cosign's signatures.
    pub payloads: Vec<Payload>,
    /// Manifests with a `subject`.
    pub manifests: Vec<ImageGraph>,
}

/// Payload of a signature, as a layer.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Descriptor; the signature is among its annotations.
    pub descriptor: Value,
    /// Payload.
    pub content: Extents,
}

/// Returns the tag of cosign's signatures of a digest.
pub fn signature_tag(digest: &str) -> String {
    format!("{}.sig", referrers_tag(digest))
}

/// Returns the tag of the index of the manifests whose subject is a digest.
pub fn referrers_tag(digest: &str) -> String {
    digest.replacen(':', "-", 1)
}

/// Returns the digest to which the tag of a name refers, and true for a tag of cosign's signatures.
pub fn subject(name: &str) -> Option<(String, bool)> {
    let tag = reference::parse(name).ok()?.tag?;
    let (tag, is_signature) = match tag.strip_suffix(".sig") {
        Some(tag) => (tag, true),
        None => (tag.as_str(), false),
    };
    let hex = tag.strip_prefix("sha256-")?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| (format!("sha256:{hex}"), is_signature))
}

/// Builds the index of manifests that refer to an image, from their descriptors.
pub fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}

/// Builds a manifest with a document of a media type, and an image as its subject (OCI Image Specification,
/// "Guidelines for Artifact Usage"). `layer` are annotations of the document; `subject` is the descriptor of
/// a manifest or index.
///
/// # Errors
/// Read errors.
pub fn artifact(
    content: Extents,
    media_type: &str,
    layer: &[(&str, &str)],
    annotations: &[(&str, &str)],
    subject: &Value,
) -> io::Result<ImageGraph> {
    let map = |pairs: &[(&str, &str)]| -> Value {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
        pairs.collect::<serde_json::Map<_, _>>().into()
    };
    let mut graph = ImageGraph::default();
    let config = graph.add(Extents::from_bytes(b"{}".as_slice()), EMPTY)?;
    let mut document = graph.add(content, media_type)?;
    if !layer.is_empty() {
        set(&mut document, "annotations", map(layer));
    }
    let part = |key: &str| subject.get(key).cloned();
    let subject = json!({"mediaType": part("mediaType"), "digest": part("digest"), "size": part("size")});
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": media_type, "config": config,
        "layers": [document], "subject": subject,
    });
    if !annotations.is_empty() {
        set(&mut manifest, "annotations", map(annotations));
    }
    graph.top = graph.add_json(&manifest, MANIFEST)?;
    // An index of referrers repeats both (Distribution Specification, "Pushing Manifests with Subject").
    set(&mut graph.top, "artifactType", media_type.into());
    if !annotations.is_empty() {
        set(&mut graph.top, "annotations", map(annotations));
    }
    Ok(graph)
}

/// Returns whether a descriptor is `cosign save`'s entry for signatures or other attachments of an image.
pub(super) fn is_attachment(descriptor: &Descriptor) -> bool {
    let annotations = descriptor.annotations().as_ref();
    let kind = annotations.and_then(|annotations| annotations.get(KIND));
    kind.is_some_and(|kind| KINDS.contains(&kind.as_str()))
}

/// Builds the manifests of what refers to an image, by digest: each with the name that it has in the
/// repository of the image.
///
/// # Errors
/// Read errors.
pub fn named(name: &str, referrers: &[(String, Referrers)]) -> io::Result<Vec<(String, ImageGraph)>> {
    let repository = reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.repository);
    let mut all = Vec::new();
    for (digest, referrers) in referrers {
        let graphs = referrers.graphs(digest)?.into_iter();
        all.extend(graphs.map(|(tag, graph)| (format!("{repository}:{tag}"), graph)));
    }
    Ok(all)
}

impl Referrers {
    /// Returns whether nothing refers to the image.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty() && self.manifests.is_empty()
    }

    /// Adds what others have and this one lacks.
    pub fn merge(&mut self, other: Referrers) {
        for payload in other.payloads {
            if !self.payloads.iter().any(|known| known.descriptor == payload.descriptor) {
                self.payloads.push(payload);
            }
        }
        for manifest in other.manifests {
            if !self.manifests.iter().any(|known| known.digest() == manifest.digest()) {
                self.manifests.push(manifest);
            }
        }
    }

    /// Builds the manifest of the payloads, and the index of the manifests, as far as there are any: each
    /// with the tag that it has in the repository of the image.
    ///
    /// # Errors
    /// Read errors.
    pub fn graphs(&self, digest: &str) -> io::Result<Vec<(String, ImageGraph)>> {
        let mut graphs = Vec::new();
        if !self.payloads.is_empty() {
            graphs.push((signature_tag(digest), self.signatures()?));
        }
        if !self.manifests.is_empty() {
            let mut graph = ImageGraph::default();
            for manifest in &self.manifests {
                graph.extend(manifest);
            }
            let tops: Vec<Value> = self.manifests.iter().map(|manifest| manifest.top.clone()).collect();
            graph.top = graph.add_json(&index(&tops), INDEX)?;
            graphs.push((referrers_tag(digest), graph));
        }
        Ok(graphs)
    }

    /// Builds the manifest of the payloads, with a configuration as cosign writes it.
    ///
    /// # Errors
    /// Read errors.
    pub fn signatures(&self) -> io::Result<ImageGraph> {
        let mut graph = ImageGraph::default();
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for payload in &self.payloads {
            let added = graph.add(payload.content.clone(), PAYLOAD)?;
            diff_ids.push(added.get("digest").cloned());
            layers.push(payload.descriptor.clone());
        }
        let time = "0001-01-01T00:00:00Z";
        let history = vec![json!({"created": time}); layers.len()];
        let config = json!({
            "architecture": "", "created": time, "history": history, "os": "",
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "config": {},
        });
        let config = graph.add_json(&config, CONFIG)?;
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        graph.top = graph.add_json(&manifest, MANIFEST)?;
        Ok(graph)
    }
}

impl Layout {
    /// Reads the signatures of a digest, and other manifests that refer to it.
    ///
    /// # Errors
    /// Blobs that are missing or corrupt.
    pub fn referrers(&self, digest: &str) -> Result<Referrers, Error> {
        let mut referrers = Referrers::default();
        for descriptor in self.referring().get(digest).into_iter().flatten() {
            let name = descriptor.digest().to_string();
            let manifest: Value = self.json(&name, descriptor, "a manifest")?;
            let parsed: ImageManifest = self.json(&name, descriptor, "a manifest")?;
            let listed = manifest.get("layers").and_then(Value::as_array);
            let mut other = listed.is_none_or(Vec::is_empty);
            for (layer, value) in parsed.layers().iter().zip(listed.into_iter().flatten()) {
                if layer.media_type().to_string() != PAYLOAD {
                    other = true;
                    continue;
                }
                let payload = Payload {
                    descriptor: value.clone(),
                    content: Extents::from_slice(self.blob(&name, layer)?),
                };
                referrers.merge(Referrers {
                    payloads: vec![payload],
                    ..Referrers::default()
                });
            }
            if other {
                // An attestation of which parts were left behind proves nothing, and harms nothing.
                let mut graph = match self.graph_of(&name, descriptor, &|_| None) {
                    Err(Error::Missing { .. }) => continue,
                    graph => graph?,
                };
                // An index of referrers repeats both (Distribution Specification, "Pushing Manifests with
                // Subject").
                let config_type = || manifest.pointer("/config/mediaType");
                let artifact_type = manifest.get("artifactType").or_else(config_type);
                for (key, value) in [
                    ("artifactType", artifact_type),
                    ("annotations", manifest.get("annotations")),
                ] {
                    if let Some(value) = value {
                        set(&mut graph.top, key, value.clone());
                    }
                }
                referrers.merge(Referrers {
                    manifests: vec![graph],
                    ..Referrers::default()
                });
            }
        }
        Ok(referrers)
    }

    /// Reads what refers to an image and to the manifests of it, by their digests.
    ///
    /// # Errors
    /// Blobs that are missing or corrupt.
    pub fn referrers_of(&self, graph: &ImageGraph) -> Result<Vec<(String, Referrers)>, Error> {
        let mut all = Vec::new();
        for blob in &graph.blobs {
            let referrers = self.referrers(&blob.digest)?;
            if !referrers.is_empty() {
                all.push((blob.digest.clone(), referrers));
            }
        }
        Ok(all)
    }

    /// Lists the manifests that refer to each digest. What cannot be read refers to nothing.
    pub(super) fn find_referring(&self) -> BTreeMap<String, Vec<Descriptor>> {
        let mut found: BTreeMap<String, Vec<Descriptor>> = BTreeMap::new();
        let mut unnamed = 0;
        for (name, descriptor) in self.descriptors() {
            let is_index = is_index(descriptor.media_type());
            match name.as_deref().map(|name| (name, subject(name))) {
                Some((_, Some((digest, true)))) if !is_index => {
                    found.entry(digest).or_default().push(descriptor.clone())
                }
                Some((_, Some((digest, false)))) if is_index => {
                    let label = descriptor.digest().to_string();
                    let index = self.json::<ImageIndex>(&label, descriptor, "an image index");
                    let listed = index.into_iter().flat_map(|index| index.manifests().clone());
                    let there = listed.filter(|listed| !self::is_index(listed.media_type()) && self.has_blob(listed));
                    found.entry(digest).or_default().extend(there);
                }
                Some((name, _)) if is_attachment(descriptor) => {
                    for (_, image) in self.descriptors().filter(|(other, _)| other.as_deref() == Some(name)) {
                        if !is_attachment(image) {
                            let digest = image.digest().to_string();
                            found.entry(digest).or_default().push(descriptor.clone());
                        }
                    }
                }
                None if !is_index && unnamed < MAX_UNNAMED => {
                    unnamed += 1;
                    let label = descriptor.digest().to_string();
                    let manifest = self.json::<ImageManifest>(&label, descriptor, "a manifest").ok();
                    if let Some(subject) = manifest.and_then(|manifest| manifest.subject().clone()) {
                        let digest = subject.digest().to_string();
                        found.entry(digest).or_default().push(descriptor.clone());
                    }
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_signatures_name_their_digest() {
        let hex = "0123456789abcdef".repeat(4);
        let digest = format!("sha256:{hex}");
        let repository = "example.org/a";
        let signatures = format!("{repository}:{}", signature_tag(&digest));
        assert_eq!(subject(&signatures), Some((digest.clone(), true)));
        let referrers = format!("{repository}:{}", referrers_tag(&digest));
        assert_eq!(subject(&referrers), Some((digest.clone(), false)));
        for name in [
            repository.to_owned(),
            format!("{repository}:v1"),
            format!("{repository}:sha256-12.sig"),
            format!("{repository}:sha256-{}.sig", hex.to_uppercase()),
            format!("{repository}@{digest}"),
        ] {
            assert_eq!(subject(&name), None, "{name}");
        }
    }
}
