//! Pulling an image into a cache directory.

mod download;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::endpoint::{self, Endpoint};
use super::{Client, Error, MAX_RESPONSE, Request, header};
use crate::arch::Arch;
use crate::bounded;
use crate::diagnostic;
use crate::oci::graph::{INDEX, MANIFEST};
use crate::oci::layout::is_index;
use crate::oci::reference::{self, Reference};
use crate::oci::{ImageDigests, PlatformDigests, Referrers, Writer, cached_file, digest, digests};
use crate::reporter::{Reporter, Silent};
pub use download::{LayerStream, Layers};
use download::{Wanted, write_error};

/// Media types of manifests and indexes, as a request lists them.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Maximum depth of nested indexes.
const MAX_DEPTH: usize = 4;
/// Maximum number of manifests of one image.
const MAX_MANIFESTS: usize = 1000;
/// Maximum number of tags that an error names.
const MAX_TAGS: usize = 3;
/// Annotation of an attestation manifest with the digest of the manifest that it is about.
const ATTESTED: &str = "vnd.docker.reference.digest";

/// Platforms that are pulled.
#[derive(Clone, Debug)]
pub enum Platforms {
    /// Every platform of the image.
    All,
    /// Linux on these architectures.
    Linux(Vec<Arch>),
}

/// An image that was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Digest of the manifest or index.
    pub digest: String,
    /// Number of bytes that were downloaded.
    pub bytes: u64,
}

/// A manifest or index as it came.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: String,
    pub(super) digest: String,
}

impl Client {
    /// Pulls an image into a cache directory under its canonical name. Blobs that are there stay,
    /// and a download that was interrupted continues, be it by this process or another. `layers`
    /// receives the layers that are downloaded.
    ///
    /// # Errors
    /// An invalid reference, a registry that cannot be reached or denies access, an image or platform
    /// that does not exist, wrong digests, and a cache that cannot be written.
    pub fn pull(
        &self,
        name: &str,
        platforms: &Platforms,
        cache: &Path,
        layers: Option<&dyn Layers>,
        reporter: &dyn Reporter,
    ) -> Result<Pulled, Error> {
        self.ask(name, cache, layers, reporter, &|pull| {
            pull.run(name, platforms).map(Some)
        })
    }

    /// Returns the digests of an image, without its layers.
    ///
    /// # Errors
    /// The errors of [`Client::pull`].
    pub fn digests(&self, name: &str) -> Result<ImageDigests, Error> {
        self.ask(name, Path::new(""), None, &Silent, &|pull| pull.digests(name).map(Some))
    }

    /// Pulls the signatures of digests of an image that the cache has, from the first endpoint that has any.
    ///
    /// # Errors
    /// The errors of [`Client::pull`]. An image without signatures is not an error.
    pub fn pull_signatures(
        &self,
        name: &str,
        digests: &[String],
        cache: &Path,
        reporter: &dyn Reporter,
    ) -> Result<(), Error> {
        self.ask(name, cache, None, reporter, &|pull| {
            let mut found = None;
            for digest in digests {
                let referrers = pull.referrers(digest)?;
                if !referrers.is_empty() {
                    let writer = Writer::open(cache).map_err(Box::new)?;
                    writer.attach(name, digest, referrers).map_err(Box::new)?;
                    found = Some(());
                }
            }
            Ok(found)
        })
        .or_else(|error| match error {
            Error::NotFound { .. } => Ok(()),
            error => Err(error),
        })
    }

    /// Asks the mirrors of an image, then its registry, until one has what is wanted.
    fn ask<T>(
        &self,
        name: &str,
        cache: &Path,
        layers: Option<&dyn Layers>,
        reporter: &dyn Reporter,
        question: &dyn Fn(&Pull<'_>) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let reference = reference::parse(name)?;
        let (registry, _) = endpoint::split(&reference.repository);
        let mut last = Error::NotFound {
            host: registry.to_owned(),
            reference: name.to_owned(),
            similar: Vec::new(),
        };
        // A mirror need not have everything.
        for endpoint in endpoint::endpoints(registry, &self.options.mirrors, &self.options.plain_http) {
            let pull = Pull {
                client: self,
                endpoint,
                reference: &reference,
                cache,
                layers,
                reporter,
            };
            match question(&pull) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// One image from one endpoint.
pub(super) struct Pull<'a> {
    pub(super) client: &'a Client,
    pub(super) endpoint: Endpoint,
    pub(super) reference: &'a Reference,
    /// Cache directory, which signatures are not written to.
    pub(super) cache: &'a Path,
    pub(super) layers: Option<&'a dyn Layers>,
    pub(super) reporter: &'a dyn Reporter,
}

impl Pull<'_> {
    pub(super) fn repository(&self) -> &str {
        endpoint::split(&self.reference.repository).1
    }

    /// Returns the digest or tag that is asked for.
    fn wanted(&self) -> &str {
        let Reference { digest, tag, .. } = self.reference;
        digest.as_deref().or(tag.as_deref()).unwrap_or("latest")
    }

    fn digests(&self, name: &str) -> Result<ImageDigests, Error> {
        let top = self.manifest(self.wanted())?;
        let mut manifests = Vec::new();
        self.descend(name, &top, &Platforms::All, MAX_DEPTH, &mut manifests)?;
        let invalid = |digest: &str, error: serde_json::Error| {
            self.invalid(format!("{digest} is not an image manifest: {error}"))
        };
        let configs = manifests.iter().filter_map(|manifest| {
            let blobs = blobs_of(manifest).map_err(|error| invalid(&manifest.digest, error));
            let config = blobs.map(|blobs| Some((manifest.digest.clone(), blobs.first()?.digest().to_string())));
            config.transpose()
        });
        let configs: BTreeMap<String, String> = configs.collect::<Result<_, _>>()?;
        let mut platforms = Vec::new();
        for index in manifests.iter().chain([&top]) {
            if !is_index(&MediaType::from(index.media_type.as_str())) {
                continue;
            }
            let parsed: ImageIndex =
                serde_json::from_slice(&index.bytes).map_err(|error| invalid(&index.digest, error))?;
            let listed = parsed.manifests().iter();
            platforms.extend(listed.filter_map(|listed| {
                Some(PlatformDigests {
                    platform: digests::platform_name(listed)?,
                    digest: listed.digest().to_string(),
                    size: listed.size(),
                    config: configs.get(listed.digest().as_ref()).cloned(),
                })
            }));
        }
        if let (true, Some(config)) = (platforms.is_empty(), configs.get(&top.digest)) {
            platforms.push(PlatformDigests {
                platform: self.platform_of(config)?,
                digest: top.digest.clone(),
                size: top.bytes.len() as u64,
                config: Some(config.clone()),
            });
        }
        platforms.sort();
        platforms.dedup();
        Ok(ImageDigests {
            digest: top.digest,
            media_type: top.media_type,
            size: top.bytes.len() as u64,
            platforms,
        })
    }

    /// Reads the platform in a configuration.
    fn platform_of(&self, digest: &str) -> Result<String, Error> {
        self.blob(digest)?;
        let path = format!("{}/blobs/{digest}", self.repository());
        let request = Request::get(&path, self.repository(), &[]);
        let response = self.client.send(&self.endpoint, &request)?;
        let mut response = self.client.success(&self.endpoint, &request, response)?;
        let body = response.body_mut().with_config().limit(MAX_RESPONSE).read_to_vec();
        let bytes = body.map_err(|error| self.transfer(digest, error.into_io()))?;
        let found = crate::oci::digest(Sha256::new_with_prefix(&bytes));
        if found != digest {
            return Err(self.wrong_digest(digest, found));
        }
        let config: ImageConfiguration = serde_json::from_slice(&bytes)
            .map_err(|error| self.invalid(format!("{digest} is not an image configuration: {error}")))?;
        Ok(format!("{}/{}", config.os(), config.architecture()))
    }

    fn run(&self, name: &str, platforms: &Platforms) -> Result<Pulled, Error> {
        let top = self.manifest(self.wanted())?;
        let mut manifests = Vec::new();
        self.descend(name, &top, platforms, MAX_DEPTH, &mut manifests)?;
        let mut blobs: BTreeMap<String, u64> = BTreeMap::new();
        for manifest in &manifests {
            let blobs_of_one = blobs_of(manifest)
                .map_err(|error| self.invalid(format!("{} is not an image manifest: {error}", manifest.digest)))?;
            for descriptor in blobs_of_one {
                blobs.insert(descriptor.digest().to_string(), descriptor.size());
            }
        }
        // The configurations have the digests of the decompressed layers.
        let diff_ids = match self.layers {
            Some(_) => self.diff_ids(&manifests)?,
            None => BTreeMap::new(),
        };
        let wanted = blobs.into_iter().map(|(digest, size)| Wanted {
            diff_id: diff_ids.get(&digest).cloned(),
            digest,
            size,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        let bytes = self.download_all(name, &wanted)?;
        let signatures = self.signatures(
            name,
            manifests.iter().chain([&top]).map(|manifest| manifest.digest.as_str()),
        );
        let writer = Writer::open(self.cache).map_err(Box::new)?;
        // Between its download and here another moby may have cleaned what had no name.
        let missing: Vec<Wanted> = wanted.iter().filter(|blob| !self.has(blob)).cloned().collect();
        for blob in &missing {
            self.download(blob)?;
        }
        for manifest in manifests.iter().chain([&top]) {
            let path = self.blob(&manifest.digest)?;
            write(&path, &manifest.bytes)?;
        }
        let descriptor = json!({"mediaType": top.media_type, "digest": top.digest, "size": top.bytes.len()});
        writer.set_name(name, descriptor).map_err(Box::new)?;
        for (digest, referrers) in signatures {
            writer.attach(name, &digest, referrers).map_err(Box::new)?;
        }
        Ok(Pulled {
            digest: top.digest,
            bytes,
        })
    }

    /// Fetches the signatures of digests, of those that have any. Images without them are usable unless a
    /// policy says otherwise, so that an error is a warning.
    fn signatures<'b>(&self, name: &str, digests: impl Iterator<Item = &'b str>) -> Vec<(String, Referrers)> {
        let digests: BTreeSet<&str> = digests.collect();
        let mut all = Vec::new();
        for digest in digests {
            match self.referrers(digest) {
                Ok(referrers) if referrers.is_empty() => {}
                Ok(referrers) => all.push((digest.to_owned(), referrers)),
                Err(error) => {
                    self.reporter
                        .warn(&format!("cannot pull the signatures of {name}: {error}"));
                    break;
                }
            }
        }
        all
    }

    /// Downloads the configurations of manifests, and returns the diff_ids in them by the digests of the
    /// layers. A configuration that is none is reported when the image is used.
    fn diff_ids(&self, manifests: &[Fetched]) -> Result<BTreeMap<String, String>, Error> {
        let mut diff_ids = BTreeMap::new();
        for manifest in manifests {
            let blobs = blobs_of(manifest).unwrap_or_default();
            let Some((config, layers)) = blobs.split_first() else {
                continue;
            };
            if config.size() > MAX_RESPONSE {
                continue;
            }
            let wanted = Wanted {
                digest: config.digest().to_string(),
                size: config.size(),
                diff_id: None,
            };
            if !self.has_intact(&wanted) {
                self.download(&wanted)?;
            }
            let path = self.blob(&wanted.digest)?;
            let bytes = bounded::regular(&path, MAX_RESPONSE).map_err(write_error(&path))?;
            let Ok(parsed) = serde_json::from_slice::<ImageConfiguration>(&bytes) else {
                continue;
            };
            let pairs = layers.iter().zip(parsed.rootfs().diff_ids());
            diff_ids.extend(pairs.map(|(layer, diff_id)| (layer.digest().to_string(), diff_id.clone())));
        }
        Ok(diff_ids)
    }

    /// Fetches the manifests of the platforms below an index, or takes a single manifest as it is.
    fn descend(
        &self,
        name: &str,
        top: &Fetched,
        platforms: &Platforms,
        depth: usize,
        manifests: &mut Vec<Fetched>,
    ) -> Result<(), Error> {
        let copy = || Fetched {
            bytes: top.bytes.clone(),
            media_type: top.media_type.clone(),
            digest: top.digest.clone(),
        };
        if !is_index(&MediaType::from(top.media_type.as_str())) {
            manifests.push(copy());
            return Ok(());
        }
        let index: ImageIndex = serde_json::from_slice(&top.bytes)
            .map_err(|error| self.invalid(format!("{} is not an image index: {error}", top.digest)))?;
        let listed = index.manifests();
        let mut chosen: Vec<&Descriptor> = listed.iter().filter(|listed| is_wanted(listed, platforms)).collect();
        if let Platforms::Linux(arches) = platforms {
            let missing = arches
                .iter()
                .find(|arch| !chosen.iter().any(|chosen| has_platform(chosen, **arch)));
            if let (Some(arch), false) = (missing, chosen.iter().any(|chosen| chosen.platform().is_none())) {
                return Err(Error::Platform {
                    reference: name.to_owned(),
                    wanted: arch.platform(),
                    found: listed.iter().filter_map(digests::platform_name).collect(),
                });
            }
        }
        let attestations: Vec<&Descriptor> = listed
            .iter()
            .filter(|listed| !chosen.contains(listed) && chosen.iter().any(|chosen| is_about(listed, chosen)))
            .collect();
        chosen.extend(attestations);
        for descriptor in chosen {
            if depth == 0 || manifests.len() >= MAX_MANIFESTS {
                return Err(self.invalid(format!("{name} nests more indexes than an image has")));
            }
            let fetched = self.manifest(descriptor.digest().as_ref())?;
            let is_nested = is_index(&MediaType::from(fetched.media_type.as_str()));
            if is_nested {
                self.descend(name, &fetched, platforms, depth - 1, manifests)?;
            }
            manifests.push(fetched);
        }
        Ok(())
    }

    /// Fetches a manifest by tag or digest. If there is none, the error names similar tags.
    fn manifest(&self, wanted: &str) -> Result<Fetched, Error> {
        self.manifest_without_help(wanted).map_err(|error| match error {
            Error::NotFound { host, reference, .. } => Error::NotFound {
                host,
                reference,
                similar: match self.reference.digest {
                    Some(_) => Vec::new(),
                    None => self.similar_tags(wanted),
                },
            },
            error => error,
        })
    }

    /// Fetches a manifest by tag or digest.
    pub(super) fn manifest_without_help(&self, wanted: &str) -> Result<Fetched, Error> {
        let path = format!("{}/manifests/{wanted}", self.repository());
        let headers = [("Accept", ACCEPT)];
        let request = Request::get(&path, self.repository(), &headers);
        let response = self.client.send(&self.endpoint, &request)?;
        if response.status().as_u16() == 404 {
            return Err(Error::NotFound {
                host: self.endpoint.host.clone(),
                reference: match self.reference.digest {
                    Some(_) => format!("{}@{wanted}", self.reference.repository),
                    None => format!("{}:{wanted}", self.reference.repository),
                },
                similar: Vec::new(),
            });
        }
        let mut response = self.client.success(&self.endpoint, &request, response)?;
        let media_type = header(&response, "content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let body = response.body_mut().with_config().limit(MAX_RESPONSE).read_to_vec();
        let bytes = body.map_err(|error| self.transfer(wanted, error.into_io()))?;
        let found = digest(Sha256::new_with_prefix(&bytes));
        if wanted.starts_with("sha256:") && found != wanted {
            return Err(self.wrong_digest(wanted, found));
        }
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| self.invalid(format!("{wanted} is not a manifest: {error}")))?;
        let own = value.get("mediaType").and_then(Value::as_str);
        let media_type = own.map(str::to_owned).unwrap_or_else(|| {
            let guessed = if value.get("manifests").is_some() {
                INDEX
            } else {
                MANIFEST
            };
            if media_type.contains("manifest") || media_type.contains("index") {
                media_type
            } else {
                guessed.to_owned()
            }
        });
        Ok(Fetched {
            bytes,
            media_type,
            digest: found,
        })
    }

    /// Returns remedies for a tag that does not exist: similar tags of the repository, or else some of its tags.
    fn similar_tags(&self, wanted: &str) -> Vec<String> {
        let tags = self.tags().unwrap_or_default();
        // Signatures and other referrers have tags of digests.
        let tags = || {
            tags.iter()
                .map(String::as_str)
                .filter(|tag| !tag.starts_with("sha256-"))
        };
        let near = diagnostic::all_near(wanted, tags());
        if near.is_empty() && tags().next().is_some() {
            let some: Vec<String> = tags().take(MAX_TAGS).map(|tag| format!("`{tag}`")).collect();
            return vec![format!("tags of this repository: {}", some.join(", "))];
        }
        let near = near.into_iter().take(MAX_TAGS);
        near.map(|tag| format!("did you mean `{tag}`?")).collect()
    }

    /// Lists tags of the repository.
    fn tags(&self) -> Option<Vec<String>> {
        let path = format!("{}/tags/list?n=1000", self.repository());
        let request = Request::get(&path, self.repository(), &[]);
        let mut response = self.client.send(&self.endpoint, &request).ok()?;
        let body = response.body_mut().with_config().limit(MAX_RESPONSE).read_to_vec();
        let value: Value = serde_json::from_slice(&body.ok()?).ok()?;
        let tags = value.get("tags")?.as_array()?.iter().filter_map(Value::as_str);
        Some(tags.map(str::to_owned).collect())
    }

    pub(super) fn invalid(&self, found: String) -> Error {
        Error::Response {
            host: self.endpoint.host.clone(),
            found,
        }
    }

    pub(super) fn transfer(&self, content: &str, source: io::Error) -> Error {
        Error::Transfer {
            host: self.endpoint.host.clone(),
            content: content.to_owned(),
            source,
        }
    }

    pub(super) fn wrong_digest(&self, expected: &str, found: String) -> Error {
        Error::Digest {
            host: self.endpoint.host.clone(),
            expected: expected.to_owned(),
            found,
        }
    }
}

/// Writes a small blob that is not there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let content = extents::Extents::from_bytes(bytes.to_vec());
    cached_file::write(&content, path).map_err(write_error(path))
}

/// Lists the configuration and layers of a manifest; nothing for an index.
fn blobs_of(manifest: &Fetched) -> Result<Vec<Descriptor>, serde_json::Error> {
    if is_index(&MediaType::from(manifest.media_type.as_str())) {
        return Ok(Vec::new());
    }
    let parsed: ImageManifest = serde_json::from_slice(&manifest.bytes)?;
    Ok([parsed.config()].into_iter().chain(parsed.layers()).cloned().collect())
}

fn is_wanted(descriptor: &Descriptor, platforms: &Platforms) -> bool {
    match (platforms, descriptor.platform()) {
        (Platforms::All, _) | (_, None) => true,
        (Platforms::Linux(arches), Some(_)) => arches.iter().any(|arch| has_platform(descriptor, *arch)),
    }
}

fn has_platform(descriptor: &Descriptor, arch: Arch) -> bool {
    descriptor.platform().as_ref().is_some_and(|platform| {
        platform.os().to_string() == "linux" && platform.architecture().to_string() == arch.name()
    })
}

/// Returns whether a manifest attests another.
fn is_about(descriptor: &Descriptor, other: &Descriptor) -> bool {
    let annotations = descriptor.annotations().as_ref();
    annotations
        .and_then(|annotations| annotations.get(ATTESTED))
        .map(String::as_str)
        == Some(other.digest().as_ref())
}
