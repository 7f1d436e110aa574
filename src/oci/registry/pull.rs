//! Pulling an image into a cache directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::endpoint::{self, Endpoint};
use super::{Client, Error, FIRST_WAIT, MAX_ANSWER, MAX_TRIES, Request, header};
use crate::arch::Arch;
use crate::oci::graph::{INDEX, MANIFEST};
use crate::oci::layout::is_index;
use crate::oci::reference::{self, Reference};
use crate::oci::{ImageDigests, PlatformDigests, Writer, digest, digests, lock};
use crate::reporter::{Progress, Reporter, Silent};

/// Media types of manifests and indexes, as a request lists them.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// The maximum depth of nested indexes.
const MAX_DEPTH: usize = 4;
/// The maximum number of manifests of one image.
const MAX_MANIFESTS: usize = 1000;
/// The number of blobs that are downloaded at once.
const MAX_DOWNLOADS: usize = 4;
/// The annotation of an attestation manifest with the digest of the manifest that it is about.
const ATTESTED: &str = "vnd.docker.reference.digest";

/// The platforms that are pulled.
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
    /// The digest of the manifest or index.
    pub digest: String,
    /// The number of bytes that were downloaded.
    pub bytes: u64,
}

/// A manifest or index as it came.
struct Fetched {
    bytes: Vec<u8>,
    media_type: String,
    digest: String,
}

/// A blob that an image needs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    digest: String,
    size: u64,
}

impl Client {
    /// Pulls an image into a cache directory under its canonical name. Blobs that are there stay,
    /// and a download that was interrupted continues, be it by this process or another.
    ///
    /// # Errors
    /// An invalid reference, a registry that cannot be reached or denies access, an image or platform
    /// that does not exist, wrong digests, and a cache that cannot be written.
    pub fn pull(
        &self,
        name: &str,
        platforms: &Platforms,
        cache: &Path,
        reporter: &dyn Reporter,
    ) -> Result<Pulled, Error> {
        self.ask(name, cache, reporter, &|pull| pull.run(name, platforms))
    }

    /// Returns the digests of an image, without its layers.
    ///
    /// # Errors
    /// As of [`Client::pull`].
    pub fn digests(&self, name: &str) -> Result<ImageDigests, Error> {
        self.ask(name, Path::new(""), &Silent, &|pull| pull.digests(name))
    }

    /// Asks the mirrors of an image, then its registry, until one has it.
    fn ask<T>(
        &self,
        name: &str,
        cache: &Path,
        reporter: &dyn Reporter,
        question: &dyn Fn(&Pull<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let reference = reference::parse(name).map_err(|error| Error::Answer {
            host: name.to_owned(),
            what: error.to_string(),
        })?;
        let (registry, _) = endpoint::split(&reference.repository);
        let mut endpoints = endpoint::endpoints(registry, &self.options.mirrors, &self.options.plain_http).into_iter();
        let mut result = None;
        // A mirror need not have everything.
        while let (Some(endpoint), None | Some(Err(_))) = (endpoints.next(), &result) {
            let pull = Pull {
                client: self,
                endpoint,
                reference: &reference,
                cache,
                reporter,
            };
            result = Some(question(&pull));
        }
        result.unwrap_or_else(|| {
            Err(Error::Answer {
                host: registry.to_owned(),
                what: "it has no endpoint".into(),
            })
        })
    }
}

/// One image from one endpoint.
struct Pull<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    reference: &'a Reference,
    cache: &'a Path,
    reporter: &'a dyn Reporter,
}

impl Pull<'_> {
    fn registry(&self) -> &str {
        endpoint::split(&self.reference.repository).0
    }

    fn repository(&self) -> &str {
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
        let invalid =
            |digest: &str, error: serde_json::Error| self.answer(format!("{digest} is not an image manifest: {error}"));
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
        let answer = self.client.send(&self.endpoint, self.registry(), &request)?;
        let mut answer = self.client.success(&self.endpoint, &request, answer)?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let bytes = body.map_err(|error| self.transfer(digest, error.into_io()))?;
        let found = crate::oci::digest(Sha256::new_with_prefix(&bytes));
        if found != digest {
            return Err(self.wrong_digest(digest, found));
        }
        let config: ImageConfiguration = serde_json::from_slice(&bytes)
            .map_err(|error| self.answer(format!("{digest} is not an image configuration: {error}")))?;
        Ok(format!("{}/{}", config.os(), config.architecture()))
    }

    fn run(&self, name: &str, platforms: &Platforms) -> Result<Pulled, Error> {
        let top = self.manifest(self.wanted())?;
        let mut manifests = Vec::new();
        self.descend(name, &top, platforms, MAX_DEPTH, &mut manifests)?;
        let mut blobs: BTreeMap<String, u64> = BTreeMap::new();
        for manifest in &manifests {
            let blobs_of_one = blobs_of(manifest)
                .map_err(|error| self.answer(format!("{} is not an image manifest: {error}", manifest.digest)))?;
            for descriptor in blobs_of_one {
                blobs.insert(descriptor.digest().to_string(), descriptor.size());
            }
        }
        let wanted: Vec<Wanted> = blobs
            .into_iter()
            .map(|(digest, size)| Wanted { digest, size })
            .collect();
        let bytes = self.download_all(name, &wanted)?;
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
        writer.name(name, descriptor).map_err(Box::new)?;
        Ok(Pulled {
            digest: top.digest,
            bytes,
        })
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
            .map_err(|error| self.answer(format!("{} is not an image index: {error}", top.digest)))?;
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
                    found: listed.iter().filter_map(platform_name).collect(),
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
                return Err(self.answer(format!("{name} nests more indexes than an image has")));
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

    /// Fetches a manifest by tag or digest.
    fn manifest(&self, wanted: &str) -> Result<Fetched, Error> {
        let path = format!("{}/manifests/{wanted}", self.repository());
        let headers = [("Accept", ACCEPT)];
        let request = Request::get(&path, self.repository(), &headers);
        let answer = self.client.send(&self.endpoint, self.registry(), &request)?;
        if answer.status().as_u16() == 404 {
            return Err(Error::NotFound {
                host: self.endpoint.host.clone(),
                reference: match self.reference.digest {
                    Some(_) => format!("{}@{wanted}", self.reference.repository),
                    None => format!("{}:{wanted}", self.reference.repository),
                },
                similar: self.similar_tag(wanted),
            });
        }
        let mut answer = self.client.success(&self.endpoint, &request, answer)?;
        let media_type = header(&answer, "content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let bytes = body.map_err(|error| self.transfer(wanted, error.into_io()))?;
        let found = digest(Sha256::new_with_prefix(&bytes));
        if wanted.starts_with("sha256:") && found != wanted {
            return Err(self.wrong_digest(wanted, found));
        }
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| self.answer(format!("{wanted} is not a manifest: {error}")))?;
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

    /// A tag of the repository that looks like one that does not exist.
    fn similar_tag(&self, wanted: &str) -> Option<String> {
        let path = format!("{}/tags/list?n=1000", self.repository());
        let request = Request::get(&path, self.repository(), &[]);
        let mut answer = self.client.send(&self.endpoint, self.registry(), &request).ok()?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().ok()?;
        let value: Value = serde_json::from_slice(&body).ok()?;
        let tags = value.get("tags")?.as_array()?.iter().filter_map(Value::as_str);
        crate::diagnostic::nearest(wanted, tags)
    }

    /// Downloads what the cache lacks, several blobs at once, and returns the number of bytes.
    fn download_all(&self, name: &str, wanted: &[Wanted]) -> Result<u64, Error> {
        let mut missing: Vec<&Wanted> = wanted.iter().filter(|blob| !self.has(blob)).collect();
        missing.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let total = missing.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        self.reporter.progress(Progress::Begin {
            operation: "pulling",
            total,
        });
        self.reporter.progress(Progress::Layer(name));
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || {
            while let Some(blob) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.download(blob) {
                    // The others need not go on.
                    next.store(missing.len(), Ordering::Relaxed);
                    if let Ok(mut failure) = failure.lock() {
                        failure.get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..missing.len().min(MAX_DOWNLOADS) {
                // Without a thread the others do the work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        match failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(total),
        }
    }

    /// Returns whether the cache has a blob. Its digest is verified when it is used.
    fn has(&self, blob: &Wanted) -> bool {
        let path = self.blob(&blob.digest);
        path.is_ok_and(|path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == blob.size))
    }

    fn blob(&self, digest: &str) -> Result<PathBuf, Error> {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.answer(format!("{digest} is not a SHA-256 digest")));
        }
        Ok(self.cache.join("blobs/sha256").join(hex))
    }

    /// Downloads a blob to the cache. One process at a time downloads it.
    fn download(&self, blob: &Wanted) -> Result<(), Error> {
        let path = self.blob(&blob.digest)?;
        let partial = Partial::open(self.cache, &path)?;
        if self.has(blob) {
            return Ok(());
        }
        let mut file = partial.file.try_clone().map_err(write_error(&partial.path))?;
        let mut wait = FIRST_WAIT;
        let mut tries = 0;
        let found = loop {
            tries += 1;
            let before = file.metadata().map_err(write_error(&partial.path))?.len();
            match self.transfer_blob(blob, &mut file) {
                Ok(found) => break found,
                Err(error) if error.is_transient() => {
                    let now = file.metadata().map_err(write_error(&partial.path))?.len();
                    // A registry that gives something each time is not given up.
                    tries = if now > before { 1 } else { tries };
                    if tries >= MAX_TRIES {
                        return Err(error);
                    }
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(FIRST_WAIT * 16);
                }
                Err(error) => return Err(error),
            }
        };
        if found != blob.digest {
            file.set_len(0).map_err(write_error(&partial.path))?;
            return Err(self.wrong_digest(&blob.digest, found));
        }
        file.sync_all().map_err(write_error(&partial.path))?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(write_error(directory))?;
        }
        fs::rename(&partial.path, &path).map_err(write_error(&path))
    }

    /// Transfers the rest of a blob behind the part that is there, and returns the digest of all.
    fn transfer_blob(&self, blob: &Wanted, file: &mut File) -> Result<String, Error> {
        let failed = |error: io::Error| self.transfer(&blob.digest, error);
        let path = format!("{}/blobs/{}", self.repository(), blob.digest);
        let mut hash = Sha256::new();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut there = hash_prefix(file, blob.size, &mut hash).map_err(failed)?;
        if there == blob.size {
            file.set_len(there).map_err(failed)?;
            return Ok(digest(hash));
        }
        let range = format!("bytes={there}-");
        let headers = [("Range", range.as_str())];
        let request = Request::get(&path, self.repository(), if there > 0 { &headers } else { &[] });
        let answer = self.client.send(&self.endpoint, self.registry(), &request)?;
        if answer.status().as_u16() == 404 {
            return Err(self.answer(format!("its blob {} does not exist", blob.digest)));
        }
        let mut answer = self.client.success(&self.endpoint, &request, answer)?;
        let begins = || {
            header(&answer, "content-range")?
                .strip_prefix("bytes ")?
                .split('-')
                .next()?
                .parse()
                .ok()
        };
        if there > 0 && (answer.status().as_u16() != 206 || begins() != Some(there)) {
            // The registry sends all of it.
            there = 0;
            hash = Sha256::new();
        }
        file.set_len(there).map_err(failed)?;
        file.seek(SeekFrom::Start(there)).map_err(failed)?;
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = body.read(&mut buffer).map_err(failed)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            there += count as u64;
            if there > blob.size {
                return Err(self.answer(format!("it sends more than the {} bytes of {}", blob.size, blob.digest)));
            }
            hash.update(bytes);
            file.write_all(bytes).map_err(write_error(Path::new(&blob.digest)))?;
            self.reporter.progress(Progress::Advance(count as u64));
        }
        if there < blob.size {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(digest(hash))
    }

    fn answer(&self, what: String) -> Error {
        Error::Answer {
            host: self.endpoint.host.clone(),
            what,
        }
    }

    fn transfer(&self, what: &str, source: io::Error) -> Error {
        Error::Transfer {
            host: self.endpoint.host.clone(),
            what: what.to_owned(),
            source,
        }
    }

    fn wrong_digest(&self, what: &str, found: String) -> Error {
        Error::Digest {
            host: self.endpoint.host.clone(),
            what: what.to_owned(),
            found,
        }
    }
}

/// A blob that is being downloaded, and the lock on it.
struct Partial {
    path: PathBuf,
    file: File,
    _lock: File,
}

impl Partial {
    /// Waits for other processes that download the blob.
    fn open(cache: &Path, blob: &Path) -> Result<Self, Error> {
        let name = blob.file_name().unwrap_or_default();
        let directory = cache.join("moby/downloads");
        fs::create_dir_all(&directory).map_err(write_error(&directory))?;
        let lock = Path::new("moby/downloads").join(name).with_extension("lock");
        let opened = lock::file(cache, &lock.to_string_lossy()).and_then(|file| file.lock().map(|()| file));
        let lock = opened.map_err(write_error(&cache.join(&lock)))?;
        let path = directory.join(name).with_extension("partial");
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let file = file.map_err(write_error(&path))?;
        Ok(Partial {
            path,
            file,
            _lock: lock,
        })
    }
}

/// Writes a small blob that is not there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let content = extents::Extents::from_bytes(bytes.to_vec());
    extents::emit::to_path(&content, path).map_err(write_error(path))
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write {
        path: path.clone(),
        source,
    }
}

/// The configuration and layers of a manifest; nothing of an index.
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

fn platform_name(descriptor: &Descriptor) -> Option<String> {
    let platform = descriptor.platform().as_ref()?;
    let arch = platform.architecture().to_string();
    (arch != "unknown").then(|| format!("{}/{arch}", platform.os()))
}

/// Hashes up to `limit` bytes of a file, and returns their number.
fn hash_prefix(file: &mut File, limit: u64, hash: &mut Sha256) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(128 << 10, file.take(limit));
    let mut len = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(len);
        }
        hash.update(bytes);
        let count = bytes.len();
        reader.consume(count);
        len += count as u64;
    }
}
