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
/// Maximum number of pages of a list of referrers, and of manifests on all of them.
const MAX_PAGES: usize = 1000;
const MAX_LISTED: usize = 100_000;
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
            referrers.payloads = self.payloads_of(&manifest)?;
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
        if let Some(listed) = self.listed_by_api(subject)? {
            return Ok(listed);
        }
        let tagged = self.optional_manifest(&referrers_tag(subject))?;
        let index = tagged.and_then(|manifest| serde_json::from_slice::<ImageIndex>(&manifest.bytes).ok());
        Ok(index.map(|index| index.manifests().clone()).unwrap_or_default())
    }

    /// Lists the manifests whose subject is a digest by the API, all pages of it; `None` if the registry lacks
    /// the API.
    fn listed_by_api(&self, subject: &str) -> Result<Option<Vec<Descriptor>>, Error> {
        let mut listed = Vec::new();
        let mut path = format!("{}/referrers/{subject}", self.repository());
        for page in 0..MAX_PAGES {
            let headers = [("Accept", crate::oci::graph::INDEX)];
            let request = Request::get(&path, self.repository(), &headers);
            let mut response = self.client.send(&self.endpoint, &request)?;
            if page == 0 && response.status().as_u16() != 200 {
                // An unread body would cost the connection.
                let _ = super::text(response);
                return Ok(None);
            }
            if page > 0 {
                response = self.client.success(&self.endpoint, &request, response)?;
            }
            let next = super::header(&response, "link").and_then(|link| next_page(link, &path));
            let body = response.body_mut().with_config().limit(MAX_RESPONSE).read_to_vec();
            let bytes = body.map_err(|error| self.transfer(subject, error.into_io()))?;
            match serde_json::from_slice::<ImageIndex>(&bytes) {
                Ok(index) => listed.extend(index.manifests().iter().cloned()),
                Err(_) if page == 0 => return Ok(None),
                Err(error) => return Err(self.invalid(format!("its list of referrers is not an index: {error}"))),
            }
            match next {
                None => return Ok(Some(listed)),
                Some(_) if listed.len() > MAX_LISTED => break,
                Some(next) => path = next,
            }
        }
        Err(self.invalid(format!(
            "it lists more than {MAX_LISTED} referrers, or {MAX_PAGES} pages of them"
        )))
    }

    /// Fetches the index of the tag schema as it is, for others to be added; `None` if there is none.
    pub(super) fn referrers_index(&self, subject: &str) -> Result<Option<Value>, Error> {
        let Some(manifest) = self.existing_manifest(&referrers_tag(subject))? else {
            return Ok(None);
        };
        match serde_json::from_slice::<Value>(&manifest.bytes) {
            Ok(index) if index.get("manifests").is_some_and(Value::is_array) => Ok(Some(index)),
            _ => Err(self.invalid(format!("{} is not an image index", referrers_tag(subject)))),
        }
    }

    /// Fetches a manifest that is to be replaced, if it exists. One that cannot be read is not taken for missing:
    /// its entries would be lost.
    fn existing_manifest(&self, tag: &str) -> Result<Option<Fetched>, Error> {
        match self.manifest_without_help(tag) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches a manifest that need not exist.
    fn optional_manifest(&self, wanted: &str) -> Result<Option<Fetched>, Error> {
        match self.manifest_without_help(wanted) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(Error::NotFound { .. } | Error::Denied { .. } | Error::Status { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches the payloads of cosign's signatures of a digest, for others to be added.
    pub(super) fn payloads(&self, subject: &str) -> Result<Vec<Payload>, Error> {
        match self.existing_manifest(&signature_tag(subject))? {
            Some(manifest) => self.payloads_of(&manifest),
            None => Ok(Vec::new()),
        }
    }

    /// Fetches the payloads of a manifest of signatures.
    fn payloads_of(&self, manifest: &Fetched) -> Result<Vec<Payload>, Error> {
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
        let response = self.client.send(&self.endpoint, &request)?;
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

/// Returns the address of the next page in a `Link` header (RFC 8288), relative to the path of this one.
fn next_page(link: &str, path: &str) -> Option<String> {
    let mut rest = link;
    loop {
        let (_, target) = rest.split_once('<')?;
        let (target, parameters) = target.split_once('>')?;
        let (parameters, more) = parameters.split_once(",").unwrap_or((parameters, ""));
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        if is_next {
            let base = path.split('?').next().unwrap_or_default();
            return Some(if target.contains("://") || target.starts_with('/') {
                target.to_owned()
            } else if target.starts_with('?') {
                format!("{base}{target}")
            } else {
                let directory = base.rsplit_once('/').map_or("", |(directory, _)| directory);
                format!("{directory}/{target}")
            });
        }
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_is_found_in_link_headers() {
        let path = "team/app/referrers/sha256:12?n=2";
        for (link, expected) in [
            (
                "</v2/team/app/referrers/sha256:12?last=a>; rel=\"next\"",
                Some("/v2/team/app/referrers/sha256:12?last=a"),
            ),
            ("<?last=a>;rel=next", Some("team/app/referrers/sha256:12?last=a")),
            (
                "<sha256:12?last=a>; title=\"x\"; Rel=\"last NEXT\"",
                Some("team/app/referrers/sha256:12?last=a"),
            ),
            (
                "<https://a.example/p>; rel=\"first\", <https://b.example/q>; rel=\"next\"",
                Some("https://b.example/q"),
            ),
            ("<https://a.example/p>; rel=\"prev\"", None),
            ("", None),
            ("<unfinished", None),
        ] {
            assert_eq!(next_page(link, path).as_deref(), expected, "{link}");
        }
    }
}
