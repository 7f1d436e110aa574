//! Sources of images: OCI layout directories, OCI archives, and `docker save` archives (OCI Image Layout
//! Specification).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use extents::{Blob, Extents, FileBlob, Slice};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::docker_save::Saved;
use super::files::Files;
use super::graph::digest_of;
use super::{Error, Image, ImageDigests, Layer, PlatformDigests, layer, reference};
use crate::arch::Arch;
use crate::diagnostic::size;

/// Maximum length of an index, manifest or configuration, in bytes. Registries accept manifests of up to
/// 4 MiB.
pub(super) const MAX_JSON: u64 = 16 << 20;
/// Maximum depth of nested indexes.
pub(super) const MAX_DEPTH: usize = 4;
/// Maximum number of members of an archive, which usually has one for each blob.
const MAX_MEMBERS: usize = 100_000;
/// Maximum number of indexes that are read for one image: indexes may refer to each other.
pub(super) const MAX_INDEXES: usize = 64;
/// Annotation of a descriptor with the name of the image.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation with the full name, as containerd and `docker save` write it.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Place of a blob: a file, or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// File or archive.
    pub file: PathBuf,
    /// Name of the member, in an archive.
    pub member: Option<String>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            None => write!(f, "{}", self.file.display()),
            Some(member) => write!(f, "{member} in {}", self.file.display()),
        }
    }
}

impl Location {
    /// Opens the blob.
    pub(crate) fn open(&self, name: &str) -> Result<Slice, Error> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing {
                name: name.to_owned(),
                location: self.clone(),
            },
            _ => Error::Read {
                name: name.to_owned(),
                location: self.clone(),
                source,
            },
        };
        let file: Arc<dyn Blob> = Arc::new(FileBlob::open(&self.file).map_err(failed)?);
        let Some(member) = &self.member else {
            return Ok(Slice::whole(file));
        };
        // An archive has few members; reading their headers again is cheap.
        let members = members(&self.file).map_err(failed)?;
        let missing = || Error::Missing {
            name: name.to_owned(),
            location: self.clone(),
        };
        let (start, len) = members.get(member).copied().ok_or_else(missing)?;
        Slice::new(file, start, len).ok_or_else(missing)
    }
}

/// Lists the regular files of an archive: offset and length in bytes.
pub(super) fn members(path: &Path) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let blob = Arc::new(FileBlob::open(path)?);
    let archive = Extents::from_slice(Slice::whole(blob));
    let mut members = BTreeMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    for entry in pax::entries(&archive) {
        let entry = entry.map_err(io::Error::other)?;
        if members.len() + links.len() == MAX_MEMBERS {
            return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} members")));
        }
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        match &entry.body {
            pax::Body::Node(tree::Kind::File(content)) => {
                let start = content.extents().first().map_or(0, |extent| match extent.data() {
                    extents::Data::Slice(slice) => slice.offset(),
                    extents::Data::Bytes { .. } => 0,
                });
                members.insert(name, (start, content.len()));
            }
            // Old versions of `docker save` store a layer that two images share as a link.
            pax::Body::Node(tree::Kind::Symlink(target)) | pax::Body::Link(target) => {
                let target = String::from_utf8_lossy(target).into_owned();
                let target = target.trim_start_matches("../").trim_start_matches("./").to_owned();
                links.push((name, target));
            }
            _ => {}
        }
    }
    // Directories of layers have no order: a link may come before its target.
    for (name, target) in links {
        if let Some(found) = members.get(&target).copied() {
            members.insert(name, found);
        }
    }
    Ok(members)
}

/// `index.json`, without the fields that are not needed.
#[derive(Deserialize)]
struct Index {
    #[serde(deserialize_with = "list")]
    manifests: Vec<Descriptor>,
}

/// Parses a list, or null: Go programs such as umoci write an empty list so.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Descriptor>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Source of images.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    archive: bool,
    index: Vec<Descriptor>,
    saved: Vec<Saved>,
    pub(super) files: Files,
    /// Files of the layouts that complete this one.
    pub(super) others: Vec<Files>,
}

impl Layout {
    /// Opens a directory or an archive.
    ///
    /// # Errors
    /// A path that is missing, or has neither `index.json` nor `manifest.json`.
    pub fn open(path: &Path) -> Result<Layout, Error> {
        let opened = |source| Error::Open {
            path: path.to_owned(),
            source,
        };
        let found = std::fs::metadata(path).map_err(opened)?;
        let archive = !found.is_dir();
        let not = |found: String| Error::NotALayout {
            path: path.to_owned(),
            found,
        };
        if archive && !found.is_file() {
            return Err(not("it is neither a directory nor a regular file".into()));
        }
        let files = Files::open(path, archive).map_err(|error| not(describe(path, &error)))?;
        let known = [files.has("index.json"), files.has("manifest.json")];
        let mut layout = Layout {
            path: path.to_owned(),
            archive,
            index: Vec::new(),
            saved: Vec::new(),
            files,
            others: Vec::new(),
        };
        match known {
            [true, _] => {
                let index: Index = layout.top("index.json", "an image index")?;
                layout.index = index.manifests;
            }
            [false, true] => layout.saved = layout.top("manifest.json", "the list of a docker save archive")?,
            _ if archive => return Err(not("the archive has no index.json".into())),
            _ => return Err(not("the directory has no index.json".into())),
        }
        Ok(layout)
    }

    /// Returns the directory or archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lists the canonical names of all images, without `:latest`.
    pub fn names(&self) -> Vec<String> {
        let listed = self.index.iter().filter_map(name).map(plain);
        let saved = self.saved.iter().flat_map(|saved| saved.names());
        listed.chain(saved).collect()
    }

    /// Returns true for the output of `docker save`, whose images have no manifests.
    pub fn is_saved(&self) -> bool {
        !self.saved.is_empty()
    }

    /// Returns skopeo's name for a source of this kind.
    pub fn transport(&self) -> &'static str {
        if !self.archive {
            "oci"
        } else if self.saved.is_empty() {
            "oci-archive"
        } else {
            "docker-archive"
        }
    }

    /// Lists the descriptors of `index.json`, with their canonical names.
    pub fn descriptors(&self) -> impl Iterator<Item = (Option<String>, &Descriptor)> {
        let named = |descriptor| (name(descriptor).map(plain), descriptor);
        self.index.iter().map(named)
    }

    /// Finds the descriptor of an image by name, or by a digest in the name: first among manifests, then
    /// among indexes, as LinuxKit does.
    pub fn find(&self, name: &str) -> Option<&Descriptor> {
        self.candidates(name).first().copied()
    }

    fn candidates(&self, name: &str) -> Vec<&Descriptor> {
        let with = |fits: &dyn Fn(&Descriptor) -> bool| -> Vec<&Descriptor> {
            self.index.iter().filter(|descriptor| fits(descriptor)).collect()
        };
        // As written, then with and without `:latest`.
        let mut found = with(&|descriptor| self::name(descriptor) == Some(name));
        if found.is_empty() {
            let wanted = plain(name);
            found = with(&|descriptor| self::name(descriptor).map(plain).as_ref() == Some(&wanted));
        }
        if let (true, Some((_, digest))) = (found.is_empty(), name.split_once('@')) {
            found = with(&|descriptor| descriptor.digest().as_ref() == digest);
        }
        // A name may be wrong about its digest.
        if let Some((_, digest)) = name.split_once('@') {
            found.retain(|descriptor| descriptor.digest().as_ref() == digest);
        }
        let index = |descriptor: &&Descriptor| is_index(descriptor.media_type());
        found.sort_by_key(index);
        found
    }

    /// Finds the image of a name for an architecture.
    ///
    /// # Errors
    /// An image that is here, but not for the architecture, or damaged.
    pub fn image(&self, name: &str, arch: Arch) -> Result<Option<Image>, Error> {
        if let Some(saved) = self.saved.iter().find(|saved| saved.names().contains(&plain(name))) {
            return self.saved_image(name, saved)?.for_arch(arch).map(Some);
        }
        let mut other = None;
        for descriptor in self.candidates(name) {
            match self.resolve(name, arch, descriptor, MAX_DEPTH, &mut 0) {
                Err(error @ (Error::Architecture { .. } | Error::EmptyIndex { .. })) => other = other.or(Some(error)),
                found => return found.map(Some),
            }
        }
        match other {
            Some(error) => Err(error),
            None => self.by_digest(name, arch),
        }
    }

    /// Opens and verifies the blob of a descriptor.
    ///
    /// # Errors
    /// A blob that is missing or does not match the descriptor.
    pub fn blob(&self, name: &str, descriptor: &Descriptor) -> Result<Slice, Error> {
        let location = self.blob_location(descriptor.digest().as_ref());
        let slice = location.open(name)?;
        verify(
            name,
            &location,
            &slice,
            Some(descriptor.size()),
            descriptor.digest().as_ref(),
        )?;
        Ok(slice)
    }

    /// Returns true if the blob of a descriptor is here.
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        let name = descriptor.digest().to_string();
        self.blob_location(descriptor.digest().as_ref()).open(&name).is_ok()
    }

    /// Returns configuration and layers of an image of a `docker save` archive.
    ///
    /// # Errors
    /// Parts that are missing or damaged.
    pub(super) fn saved_parts(&self, name: &str) -> Result<Option<(Extents, Vec<Extents>)>, Error> {
        let Some(saved) = self.saved.iter().find(|saved| saved.names().contains(&plain(name))) else {
            return Ok(None);
        };
        let image = self.saved_image(name, saved)?;
        let layers = image.layers.iter().map(|stored| {
            let slice = stored.location.open(name)?;
            layer::verify(stored, &slice)?;
            Ok(Extents::from_slice(slice))
        });
        let layers: Result<Vec<Extents>, Error> = layers.collect();
        Ok(Some((Extents::from_slice(image.source), layers?)))
    }

    /// Returns the digests of an image of a `docker save` archive. Its manifest is the one that
    /// [`Layout::graph`] adds.
    pub(super) fn saved_digests(&self, name: &str) -> Result<Option<ImageDigests>, Error> {
        let Some(saved) = self.saved.iter().find(|saved| saved.names().contains(&plain(name))) else {
            return Ok(None);
        };
        let image = self.saved_image(name, saved)?;
        let Some(graph) = self.graph(name, &|_| None)? else {
            return Ok(None);
        };
        let text = |key: &str| graph.top.get(key).and_then(|value| value.as_str()).unwrap_or_default();
        let (digest, size) = (text("digest"), graph.top.get("size").and_then(|size| size.as_u64()));
        let config = image.config_digest().map_err(|source| Error::Read {
            name: name.to_owned(),
            location: self.location(&saved.config),
            source,
        })?;
        Ok(Some(ImageDigests {
            digest: digest.to_owned(),
            media_type: text("mediaType").to_owned(),
            size: size.unwrap_or_default(),
            platforms: vec![PlatformDigests {
                platform: format!("{}/{}", image.config.os(), image.config.architecture()),
                digest: digest.to_owned(),
                size: size.unwrap_or_default(),
                config: Some(config),
            }],
        }))
    }

    /// Finds the image for an architecture below a descriptor. `opened` counts the indexes that were read.
    ///
    /// # Errors
    /// An image for other architectures only, and blobs that are missing or damaged.
    pub(super) fn resolve(
        &self,
        name: &str,
        arch: Arch,
        descriptor: &Descriptor,
        depth: usize,
        opened: &mut usize,
    ) -> Result<Image, Error> {
        if !is_index(descriptor.media_type()) {
            let image = self.manifest(name, descriptor)?;
            // Below an index, the platform of the descriptor has matched.
            return if depth == MAX_DEPTH {
                image.for_arch(arch)
            } else {
                Ok(image)
            };
        }
        *opened += 1;
        let index: ImageIndex = self.json(name, descriptor, "an image index")?;
        let wanted = oci_spec::image::Arch::from(arch.name());
        let (mut found, mut nested) = (Vec::new(), None);
        for manifest in index.manifests() {
            let Some(platform) = manifest.platform() else {
                // A nested index often has no platform.
                if is_index(manifest.media_type()) && *opened < MAX_INDEXES {
                    if depth == 0 {
                        nested = nested.or(Some(too_deep(name)));
                        continue;
                    }
                    match self.resolve(name, arch, manifest, depth - 1, opened) {
                        Ok(image) => return Ok(image),
                        Err(Error::Architecture { found: more, .. }) => found.extend(more),
                        Err(error) => nested = nested.or(Some(error)),
                    }
                }
                continue;
            };
            if platform.os().to_string() == "linux" && *platform.architecture() == wanted {
                return if depth == 0 {
                    Err(too_deep(name))
                } else {
                    self.resolve(name, arch, manifest, depth - 1, opened)
                };
            }
            if platform.architecture().to_string() != "unknown" {
                found.push(format!("{}/{}", platform.os(), platform.architecture()));
            }
        }
        let (name, wanted) = (name.to_owned(), arch.platform());
        Err(match nested {
            _ if !found.is_empty() => Error::Architecture { name, wanted, found },
            Some(error) => error,
            None => {
                let found = unusable(index.manifests());
                Error::EmptyIndex { name, wanted, found }
            }
        })
    }

    fn manifest(&self, name: &str, descriptor: &Descriptor) -> Result<Image, Error> {
        let manifest: ImageManifest = self.json(name, descriptor, "an image manifest")?;
        let source = self.blob(name, manifest.config())?;
        let location = self.blob_location(manifest.config().digest().as_ref());
        let config: ImageConfiguration = parse(name, &location, &source, "an image configuration")?;
        check_config(name, &config)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(Error::NotAnImage {
                name: name.to_owned(),
                reason: format!(
                    "its manifest has {} layers and its configuration {} diff_ids",
                    manifest.layers().len(),
                    diff_ids.len()
                ),
            });
        }
        for layer in manifest.layers() {
            known_digest(name, layer.digest().as_ref())?;
        }
        let layers = manifest.layers().iter().zip(diff_ids).map(|(layer, diff_id)| Layer {
            image: name.to_owned(),
            location: self.blob_location(layer.digest().as_ref()),
            expected: Some((layer.size(), layer.digest().to_string())),
            diff_id: diff_id.clone(),
        });
        let layers = layers.collect();
        Ok(Image {
            name: name.to_owned(),
            source,
            config,
            layers,
        })
    }

    fn saved_image(&self, name: &str, saved: &Saved) -> Result<Image, Error> {
        for path in saved.layers.iter().chain([&saved.config]) {
            let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            if !Path::new(path).components().all(inside) {
                return Err(Error::NotAnImage {
                    name: name.to_owned(),
                    reason: format!("manifest.json names {path:?}, which is outside of the archive"),
                });
            }
        }
        let location = self.location(&saved.config);
        let source = location.open(name)?;
        // The name of the file is its digest.
        let hex: String = saved.config.chars().filter(char::is_ascii_hexdigit).collect();
        let hex = hex.get(hex.len().saturating_sub(64)..).unwrap_or_default();
        let stem = saved.config.rsplit('/').next().unwrap_or_default();
        if hex.len() == 64 && stem.trim_end_matches(".json") == hex {
            verify(name, &location, &source, None, &format!("sha256:{hex}"))?;
        }
        let config: ImageConfiguration = parse(name, &location, &source, "an image configuration")?;
        check_config(name, &config)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != saved.layers.len() {
            return Err(Error::NotAnImage {
                name: name.to_owned(),
                reason: format!(
                    "manifest.json has {} layers and its configuration {} diff_ids",
                    saved.layers.len(),
                    diff_ids.len()
                ),
            });
        }
        let layers = saved.layers.iter().zip(diff_ids).map(|(path, diff_id)| Layer {
            image: name.to_owned(),
            location: self.location(path),
            expected: None,
            diff_id: diff_id.clone(),
        });
        let layers = layers.collect();
        Ok(Image {
            name: name.to_owned(),
            source,
            config,
            layers,
        })
    }

    /// Returns the place of a file of the layout.
    fn location(&self, path: &str) -> Location {
        self.files.location(path)
    }

    /// Reads a JSON file at the top of the layout.
    fn top<T: DeserializeOwned>(&self, path: &str, expected: &'static str) -> Result<T, Error> {
        let name = self.path.display().to_string();
        let location = self.location(path);
        let slice = location.open(&name)?;
        parse(&name, &location, &slice, expected)
    }

    /// Reads and verifies a JSON blob.
    ///
    /// # Errors
    /// A blob that is missing, damaged, or of another kind.
    pub fn json<T: DeserializeOwned>(
        &self,
        name: &str,
        descriptor: &Descriptor,
        expected: &'static str,
    ) -> Result<T, Error> {
        let location = self.blob_location(descriptor.digest().as_ref());
        let slice = self.blob(name, descriptor)?;
        parse(name, &location, &slice, expected)
    }
}

/// Returns the error of an image whose indexes are nested too deep.
fn too_deep(name: &str) -> Error {
    Error::NotAnImage {
        name: name.to_owned(),
        reason: format!("its indexes are nested more than {MAX_DEPTH} deep"),
    }
}

/// Describes the entries of an index that has no image.
fn unusable(manifests: &[Descriptor]) -> String {
    let attestation = |manifest: &&Descriptor| manifest.platform().is_some();
    match (manifests.len(), manifests.iter().filter(attestation).count()) {
        (0, _) => "it is empty".into(),
        (all, attestations) if all == attestations => "it lists attestations only".into(),
        (all, _) => format!("none of its {all} entries has a platform"),
    }
}

/// Checks that a configuration is for Linux, and that a process can be started from it.
fn check_config(name: &str, config: &ImageConfiguration) -> Result<(), Error> {
    let refuse = |reason: String| {
        Err(Error::NotAnImage {
            name: name.to_owned(),
            reason,
        })
    };
    let os = config.os().to_string();
    if !["", "linux"].contains(&os.as_str()) {
        return refuse(format!("it is for {os}, not for linux"));
    }
    let Some(process) = config.config() else { return Ok(()) };
    let lists = [
        ("Env", process.env()),
        ("Entrypoint", process.entrypoint()),
        ("Cmd", process.cmd()),
    ];
    for (field, list) in lists {
        if list.iter().flatten().any(|text| text.contains('\0')) {
            return refuse(format!("{field} in its configuration has a NUL character"));
        }
    }
    if let Some(dir) = process.working_dir()
        && (dir.contains('\0') || Path::new(dir).components().any(|part| part == Component::ParentDir))
    {
        return refuse(format!("its WorkingDir {dir:?} is not a path below /"));
    }
    Ok(())
}

/// Describes a file that is not a tar.
fn describe(path: &Path, error: &io::Error) -> String {
    let mut start = [0; 6];
    let read = std::fs::File::open(path).and_then(|mut file| io::Read::read(&mut file, &mut start));
    match (read, start) {
        (Ok(_), [0x1f, 0x8b, ..]) => "it is compressed with gzip; decompress it with gunzip first".into(),
        (Ok(_), [0x28, 0xb5, 0x2f, 0xfd, ..]) => "it is compressed with zstd; decompress it with unzstd first".into(),
        (Ok(_), [0xfd, b'7', b'z', ..]) => "it is compressed with xz; decompress it with unxz first".into(),
        _ => error.to_string(),
    }
}

/// Returns true for the media types of an index (OCI) and a manifest list (Docker).
pub(super) fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageIndex)
        || media_type.to_string() == "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// Returns the name of a descriptor as it is written.
fn name(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    name_among(|key| annotations.get(key).map(String::as_str))
}

/// Finds the name among annotations. `docker save` and containerd write the full name to containerd's
/// annotation, and the tag alone to the usual one, where it must not be taken for a name. LinuxKit writes
/// the full name to the usual one, and may leave an earlier name in containerd's.
pub(super) fn name_among<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    let (usual, containerd) = (annotation(REF_NAME), annotation(CONTAINERD_NAME));
    usual.filter(|name| name.contains('/')).or(containerd).or(usual)
}

/// Returns the expanded name without `:latest`, by which names are compared.
pub(super) fn plain(name: &str) -> String {
    match reference::parse(name) {
        Ok(reference) => reference.without_latest(),
        Err(_) => name.to_owned(),
    }
}

pub(super) fn parse<T: DeserializeOwned>(
    name: &str,
    location: &Location,
    slice: &Slice,
    expected: &'static str,
) -> Result<T, Error> {
    let wrong = |message: String| Error::Json {
        name: name.to_owned(),
        location: location.clone(),
        expected,
        message,
    };
    if slice.len() > MAX_JSON {
        return Err(wrong(format!(
            "it has {}; at most {} are read",
            size(slice.len()),
            size(MAX_JSON)
        )));
    }
    let mut bytes = vec![0; slice.len() as usize];
    slice.read_exact_at(&mut bytes, 0).map_err(|source| Error::Read {
        name: name.to_owned(),
        location: location.clone(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

/// Checks that the algorithm of a digest is supported.
fn known_digest(name: &str, digest: &str) -> Result<(), Error> {
    if digest.starts_with("sha256:") {
        return Ok(());
    }
    Err(Error::NotAnImage {
        name: name.to_owned(),
        reason: format!("it has the digest {digest}; only sha256 is supported"),
    })
}

/// Compares a blob with size and digest.
///
/// # Errors
/// A blob that differs, or cannot be read.
pub(crate) fn verify(
    name: &str,
    location: &Location,
    slice: &Slice,
    len: Option<u64>,
    digest: &str,
) -> Result<(), Error> {
    let mismatch = |property, expected: String, found: String| Error::Mismatch {
        name: name.to_owned(),
        location: location.clone(),
        property,
        expected,
        found,
    };
    known_digest(name, digest)?;
    if let Some(len) = len
        && len != slice.len()
    {
        let found = format!("{} bytes", slice.len());
        return Err(mismatch("size", format!("{len} bytes"), found));
    }
    let found = digest_of(&Extents::from_slice(slice.clone())).map_err(|source| Error::Read {
        name: name.to_owned(),
        location: location.clone(),
        source,
    })?;
    if found != digest {
        return Err(mismatch("digest", digest.to_owned(), found));
    }
    Ok(())
}

/// Returns a hash as a digest: `sha256:` and hexadecimal digits.
pub(crate) fn digest(hash: Sha256) -> String {
    use std::fmt::Write;
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
