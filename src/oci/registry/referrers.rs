//! Signatures of an image in a registry: cosign's tag, and manifests with the image as their subject (OCI
//! Distribution Specification 1.1, "Listing Referrers").

use extents::Extents;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::pull::{Fetched, Pull};
use super::{Error, MAX_RESPONSE, Request};
use crate::oci::graph::set;
use crate::oci::referrers::{MAX_SIGNATURE, MAX_SIGNATURES, PAYLOAD, Payload, referrers_tag, signature_tag};
use crate::oci::{ImageGraph, Referrers, digest};

/// Beginning of the artifact types of sigstore bundles.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Annotation of a bundle with the type of its statement, and the type of signatures. Other statements,
/// such as SBOMs, can be large.
const PREDICATE: (&str, &str) = (
    "dev.sigstore.bundle.predicateType",
    "https://sigstore.dev/cosign/sign/v1",
);

impl Pull<'_> {
    /// Fetches the signatures of a digest.
    ///
    /// # Errors
    /// A registry that cannot be reached, and wrong digests. A registry without signatures, or that denies
    /// access to them, has none.
    pub(super) fn referrers(&self, subject: &str) -> Result<Referrers, Error> {
        let mut referrers = Referrers::default();
        if let Some(manifest) = self.optional_manifest(&signature_tag(subject))? {
            referrers.payloads = self.payloads(&manifest)?;
        }
        for descriptor in self
            .listed(subject)?
            .iter()
            .filter(|listed| is_signature(listed))
            .take(MAX_SIGNATURES)
        {
            let Some(manifest) = self.optional_manifest(descriptor.digest().as_ref())? else {
                continue;
            };
            if let Some(graph) = self.artifact(&manifest)? {
                referrers.manifests.push(graph);
            }
        }
        Ok(referrers)
    }

    /// Lists the manifests whose subject is a digest: by the API, else by the tag schema.
    fn listed(&self, subject: &str) -> Result<Vec<Descriptor>, Error> {
        let path = format!("{}/referrers/{subject}", self.repository());
        let headers = [("Accept", crate::oci::graph::INDEX)];
        let request = Request::get(&path, self.repository(), &headers);
        let mut response = self.client.send(&self.endpoint, self.registry(), &request)?;
        if response.status().as_u16() == 200 {
            let body = response.body_mut().with_config().limit(MAX_RESPONSE).read_to_vec();
            let bytes = body.map_err(|error| self.transfer(subject, error.into_io()))?;
            if let Ok(index) = serde_json::from_slice::<ImageIndex>(&bytes) {
                return Ok(index.manifests().clone());
            }
        } else {
            // An unread body would cost the connection.
            let _ = super::text(response);
        }
        let tagged = self.optional_manifest(&referrers_tag(subject))?;
        let index = tagged.and_then(|manifest| serde_json::from_slice::<ImageIndex>(&manifest.bytes).ok());
        Ok(index.map(|index| index.manifests().clone()).unwrap_or_default())
    }

    /// Fetches a manifest that need not exist.
    fn optional_manifest(&self, wanted: &str) -> Result<Option<Fetched>, Error> {
        match self.manifest_without_help(wanted) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(Error::NotFound { .. } | Error::Denied { .. } | Error::Status { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches the payloads of a manifest of signatures.
    fn payloads(&self, manifest: &Fetched) -> Result<Vec<Payload>, Error> {
        let (Ok(parsed), Ok(value)) = (
            serde_json::from_slice::<ImageManifest>(&manifest.bytes),
            serde_json::from_slice::<Value>(&manifest.bytes),
        ) else {
            return Ok(Vec::new());
        };
        let values = value.get("layers").and_then(Value::as_array).into_iter().flatten();
        let layers = parsed.layers().iter().zip(values).take(MAX_SIGNATURES);
        let payloads = layers.filter(|(layer, _)| layer.media_type().to_string() == PAYLOAD);
        payloads
            .filter(|(layer, _)| layer.size() <= MAX_SIGNATURE)
            .map(|(layer, value)| {
                Ok(Payload {
                    descriptor: value.clone(),
                    content: Extents::from_bytes(self.small_blob(layer)?),
                })
            })
            .collect()
    }

    /// Fetches the blobs of a manifest of a signature; `None` if they are too large for one.
    fn artifact(&self, manifest: &Fetched) -> Result<Option<ImageGraph>, Error> {
        let (Ok(parsed), Ok(value)) = (
            serde_json::from_slice::<ImageManifest>(&manifest.bytes),
            serde_json::from_slice::<Value>(&manifest.bytes),
        ) else {
            return Ok(None);
        };
        let blobs = || [parsed.config()].into_iter().chain(parsed.layers());
        if blobs().count() > MAX_SIGNATURES || blobs().any(|blob| blob.size() > MAX_SIGNATURE) {
            return Ok(None);
        }
        let read = |source| self.transfer(&manifest.digest, source);
        let mut graph = ImageGraph::default();
        for blob in blobs() {
            let bytes = self.small_blob(blob)?;
            graph.add(Extents::from_bytes(bytes), "").map_err(read)?;
        }
        graph.top = graph
            .add(Extents::from_bytes(manifest.bytes.as_slice()), &manifest.media_type)
            .map_err(read)?;
        for key in ["artifactType", "annotations"] {
            if let Some(value) = value.get(key) {
                set(&mut graph.top, key, value.clone());
            }
        }
        Ok(Some(graph))
    }

    /// Fetches a blob into memory.
    fn small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>, Error> {
        let wanted = blob.digest().to_string();
        let path = format!("{}/blobs/{wanted}", self.repository());
        let request = Request::get(&path, self.repository(), &[]);
        let response = self.client.send(&self.endpoint, self.registry(), &request)?;
        let mut response = self.client.success(&self.endpoint, &request, response)?;
        let body = response.body_mut().with_config().limit(MAX_SIGNATURE).read_to_vec();
        let bytes = body.map_err(|error| self.transfer(&wanted, error.into_io()))?;
        let found = digest(Sha256::new_with_prefix(&bytes));
        if found != wanted {
            return Err(self.wrong_digest(&wanted, found));
        }
        Ok(bytes)
    }
}

/// Returns whether a manifest may be a signature, as far as its descriptor tells. Some indexes lack the
/// artifact type (sigstore/cosign issue 4422).
fn is_signature(descriptor: &Descriptor) -> bool {
    let artifact_type = descriptor.artifact_type().as_ref().map(ToString::to_string);
    let is_bundle = artifact_type.is_none_or(|name| name.starts_with(BUNDLE) || name.ends_with(".empty.v1+json"));
    let annotations = descriptor.annotations().as_ref();
    let predicate = annotations.and_then(|annotations| annotations.get(PREDICATE.0));
    is_bundle && predicate.is_none_or(|predicate| predicate == PREDICATE.1)
}
