//! Pushing an image to a registry.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::endpoint::{self, Endpoint};
use super::pull::Pull;
use super::{Client, Content, Error, Request, header};
use crate::oci::graph::INDEX;
use crate::oci::referrers::{self, referrers_tag, signature_tag};
use crate::oci::{ImageGraph, Referrers, reference};
use crate::reporter::{Progress, Reporter};

impl Client {
    /// Pushes an image under a name, with its signatures beside those that the registry has, and returns its
    /// digest. Blobs that the registry has are not sent: in the repository, or in that of `source`, the name
    /// that the image has in the cache.
    ///
    /// # Errors
    /// An invalid reference, and a registry that cannot be reached or denies access.
    pub fn push(
        &self,
        graph: &ImageGraph,
        referrers: &[(String, Referrers)],
        source: &str,
        name: &str,
        reporter: &dyn Reporter,
    ) -> Result<String, Error> {
        let reference = reference::parse(name)?;
        let (registry, repository) = endpoint::split(&reference.repository);
        let mountable = reference::parse(source)?.repository;
        let mountable =
            Some(endpoint::split(&mountable)).filter(|(host, path)| *host == registry && *path != repository);
        let push = Push {
            client: self,
            endpoint: endpoint::of_registry(registry, &self.options.plain_http),
            repository,
            mount_from: mountable.map(|(_, repository)| repository),
        };
        let missing = missing(graph);
        if !missing.is_empty() {
            return Err(Error::Incomplete {
                reference: source.to_owned(),
                missing,
            });
        }
        let top = text(&graph.top, "digest");
        let total = graph
            .blobs
            .iter()
            .map(|blob| blob.content.len())
            .fold(0, u64::saturating_add);
        reporter.progress(Progress::Begin {
            operation: "pushing",
            total,
        });
        reporter.progress(Progress::Layer(name));
        let types = manifest_types(graph);
        let mut manifests: Vec<(&str, Vec<u8>, &str)> = Vec::new();
        for blob in &graph.blobs {
            match types.get(&blob.digest) {
                Some(media_type) => {
                    let bytes = blob.content.to_vec().map_err(|source| Error::Transfer {
                        host: registry.to_owned(),
                        content: blob.digest.clone(),
                        source,
                    })?;
                    manifests.push((&blob.digest, bytes, media_type));
                }
                None => push.blob(&blob.digest, &blob.content)?,
            }
            reporter.progress(Progress::Advance(blob.content.len()));
        }
        // A registry takes a manifest only after those that it names.
        let tag = reference.tag.as_deref().unwrap_or("latest");
        for (digest, bytes, media_type) in &manifests {
            if *digest != top {
                push.manifest(digest, bytes, media_type)?;
            }
        }
        for (digest, bytes, media_type) in &manifests {
            if *digest == top {
                push.manifest(if reference.digest.is_some() { digest } else { tag }, bytes, media_type)?;
            }
        }
        let there = Pull {
            client: self,
            endpoint: endpoint::of_registry(registry, &self.options.plain_http),
            reference: &reference,
            cache: Path::new(""),
            layers: None,
            reporter,
        };
        for (digest, referrers) in referrers {
            push.referrers(&there, digest, referrers)?;
        }
        Ok(top.to_owned())
    }
}

/// A response to a request to mount a blob.
enum Mount {
    /// The repository has the blob now.
    Done,
    /// The registry waits for an upload.
    Upload(ureq::http::Response<ureq::Body>),
}

/// One image to one endpoint.
struct Push<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    repository: &'a str,
    /// Repository of the registry that may have the blobs.
    mount_from: Option<&'a str>,
}

impl Push<'_> {
    fn request<'a>(
        &'a self,
        method: &'static str,
        path: &'a str,
        headers: &'a [(&'a str, &'a str)],
        content: Content<'a>,
    ) -> Request<'a> {
        Request {
            method,
            path,
            headers,
            content,
            repository: self.repository,
            actions: "pull,push",
            mount_from: None,
        }
    }

    fn blob(&self, digest: &str, content: &extents::Extents) -> Result<(), Error> {
        let path = format!("{}/blobs/{digest}", self.repository);
        let head = self.request("HEAD", &path, &[], Content::None);
        let response = self.client.send(&self.endpoint, &head)?;
        if response.status().as_u16() == 200 {
            return Ok(());
        }
        let response = match self.mount(digest)? {
            Mount::Done => return Ok(()),
            Mount::Upload(response) => response,
        };
        let location = header(&response, "location").ok_or_else(|| Error::Response {
            host: self.endpoint.host.clone(),
            found: "it names no location for an upload".into(),
        })?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let location = format!("{location}{separator}digest={digest}");
        let put = self.request(
            "PUT",
            &location,
            &[("Content-Type", "application/octet-stream")],
            Content::Blob(content),
        );
        let response = self.client.send(&self.endpoint, &put)?;
        self.client.success(&self.endpoint, &put, response).map(drop)
    }

    /// Mounts a blob of another repository (distribution specification, "Mounting a blob from another
    /// repository"), or begins its upload.
    fn mount(&self, digest: &str) -> Result<Mount, Error> {
        let path = format!("{}/blobs/uploads/", self.repository);
        let headers = [("Content-Length", "0")];
        if let Some(from) = self.mount_from {
            let path = format!("{path}?mount={digest}&from={from}");
            let post = Request {
                mount_from: Some(from),
                ..self.request("POST", &path, &headers, Content::Bytes(&[]))
            };
            // A registry that refuses may still take the upload.
            match self.client.send(&self.endpoint, &post) {
                Ok(response) if response.status().as_u16() == 201 => return Ok(Mount::Done),
                Ok(response) if response.status().as_u16() == 202 => return Ok(Mount::Upload(response)),
                Ok(_) | Err(Error::Denied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let post = self.request("POST", &path, &headers, Content::Bytes(&[]));
        let response = self.client.send(&self.endpoint, &post)?;
        self.client.success(&self.endpoint, &post, response).map(Mount::Upload)
    }

    /// Pushes what refers to a digest, beside what others have pushed: payloads under cosign's tag, and
    /// manifests with a subject, for which the pusher maintains an index unless the registry does.
    fn referrers(&self, there: &Pull<'_>, subject: &str, referrers: &Referrers) -> Result<(), Error> {
        let read = |source| there.transfer(subject, source);
        if !referrers.payloads.is_empty() {
            let mut all = Referrers {
                payloads: there.payloads(subject)?,
                ..Referrers::default()
            };
            all.merge(Referrers {
                payloads: referrers.payloads.clone(),
                ..Referrers::default()
            });
            self.artifact(&all.signatures().map_err(read)?, &signature_tag(subject), &read)?;
        }
        let mut unlisted = Vec::new();
        for manifest in &referrers.manifests {
            if !self.artifact(manifest, manifest.digest(), &read)? {
                unlisted.push(manifest.top.clone());
            }
        }
        if unlisted.is_empty() {
            return Ok(());
        }
        let mut index = there.referrers_index(subject)?.unwrap_or_else(|| referrers::index(&[]));
        let Some(listed) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Ok(());
        };
        let is_new = |top: &Value| !listed.iter().any(|known| text(known, "digest") == text(top, "digest"));
        unlisted.retain(is_new);
        if !unlisted.is_empty() {
            listed.append(&mut unlisted);
            self.manifest(&referrers_tag(subject), index.to_string().as_bytes(), INDEX)?;
        }
        Ok(())
    }

    /// Pushes a manifest with its blobs, and returns true if the registry lists it by its subject.
    fn artifact(
        &self,
        graph: &ImageGraph,
        reference: &str,
        read: &dyn Fn(std::io::Error) -> Error,
    ) -> Result<bool, Error> {
        let mut is_listed = false;
        for blob in &graph.blobs {
            if blob.digest == graph.digest() {
                let bytes = blob.content.to_vec().map_err(read)?;
                is_listed = self.manifest(reference, &bytes, text(&graph.top, "mediaType"))?;
            } else {
                self.blob(&blob.digest, &blob.content)?;
            }
        }
        Ok(is_listed)
    }

    /// Pushes a manifest, and returns true if the registry lists it by its subject (OCI Distribution
    /// Specification, "Pushing Manifests with Subject").
    fn manifest(&self, reference: &str, bytes: &[u8], media_type: &str) -> Result<bool, Error> {
        let path = format!("{}/manifests/{reference}", self.repository);
        let headers = [("Content-Type", media_type)];
        let put = self.request("PUT", &path, &headers, Content::Bytes(bytes));
        let response = self.client.send(&self.endpoint, &put)?;
        let response = self.client.success(&self.endpoint, &put, response)?;
        Ok(header(&response, "oci-subject").is_some())
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Lists the platforms, or else digests, of the manifests that are missing.
fn missing(graph: &ImageGraph) -> Vec<String> {
    let is_here = |digest: &str| graph.blobs.iter().any(|blob| blob.digest == digest);
    let absent = graph
        .listed()
        .into_iter()
        .filter(|manifest| !is_here(text(manifest, "digest")));
    let name = |manifest: Value| match manifest.get("platform") {
        Some(platform) => format!("{}/{}", text(platform, "os"), text(platform, "architecture")),
        None => text(&manifest, "digest").to_owned(),
    };
    absent.map(name).collect()
}

/// Returns the media types of manifests and indexes in their descriptors, by digest.
fn manifest_types(graph: &ImageGraph) -> BTreeMap<String, String> {
    let descriptors = graph.listed().into_iter().chain([graph.top.clone()]);
    let pair = |descriptor: Value| {
        (
            text(&descriptor, "digest").to_owned(),
            text(&descriptor, "mediaType").to_owned(),
        )
    };
    descriptors.map(pair).collect()
}
