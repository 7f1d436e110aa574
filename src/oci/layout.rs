//! One source of images: an OCI layout folder, an OCI archive, or what `docker save` wrote
//! (OCI Image Layout Specification).

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
use super::graph::{blob_path, digest_of};
use super::{Error, Image, Layer, layer, reference};
use crate::arch::Arch;

/// The longest index, manifest or configuration that is read, in bytes. Registries stop at
/// 4 MiB for a manifest.
const LONGEST_JSON: u64 = 16 << 20;
/// How many indexes may be nested.
pub(super) const DEEPEST: usize = 4;
/// How many members an archive may have; one for each blob is usual.
const MOST_MEMBERS: usize = 100_000;
/// How many indexes are opened for one image: they may name each other many times over.
pub(super) const MOST_INDEXES: usize = 64;
/// The annotation of a descriptor with the name of the image.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with the name that containerd and `docker save` write, always with the repository.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Where a blob is: a file, or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, or the archive.
    pub file: PathBuf,
    /// The member's name, for an archive.
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
        // The members of an archive are few: looking again costs a read a member.
        let members = members(&self.file).map_err(failed)?;
        let missing = || Error::Missing {
            name: name.to_owned(),
            location: self.clone(),
        };
        let (start, len) = members.get(member).copied().ok_or_else(missing)?;
        Slice::new(file, start, len).ok_or_else(missing)
    }
}

/// The regular files of an archive: offset and length in bytes.
fn members(path: &Path) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let blob = Arc::new(FileBlob::open(path)?);
    let archive = Extents::from_slice(Slice::whole(blob));
    let mut members = BTreeMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    for entry in pax::entries(&archive) {
        let entry = entry.map_err(io::Error::other)?;
        if members.len() + links.len() == MOST_MEMBERS {
            return Err(io::Error::other(format!("it has more than {MOST_MEMBERS} members")));
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
            // `docker save` of old stores a layer that two images share as a link.
            pax::Body::Node(tree::Kind::Symlink(target)) | pax::Body::Link(target) => {
                let target = String::from_utf8_lossy(target).into_owned();
                let target = target.trim_start_matches("../").trim_start_matches("./").to_owned();
                links.push((name, target));
            }
            _ => {}
        }
    }
    // The folders of layers are in no order, so that a link may stand before its target.
    for (name, target) in links {
        if let Some(found) = members.get(&target).copied() {
            members.insert(name, found);
        }
    }
    Ok(members)
}

/// `index.json`, of which only this is of use.
#[derive(Deserialize)]
struct Index {
    #[serde(deserialize_with = "list")]
    manifests: Vec<Descriptor>,
}

/// A list, or null, which is how Go writes an empty one: umoci makes its new layouts so.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Descriptor>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A source of images.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    archive: bool,
    index: Vec<Descriptor>,
    saved: Vec<Saved>,
}

impl Layout {
    /// Opens a folder or an archive.
    ///
    /// # Errors
    /// A path that is not there, or has neither `index.json` nor `manifest.json`.
    pub fn open(path: &Path) -> Result<Layout, Error> {
        let opened = |source| Error::Open {
            path: path.to_owned(),
            source,
        };
        let archive = !std::fs::metadata(path).map_err(opened)?.is_dir();
        let mut layout = Layout {
            path: path.to_owned(),
            archive,
            index: Vec::new(),
            saved: Vec::new(),
        };
        let not = |what: String| Error::NotALayout {
            path: path.to_owned(),
            what,
        };
        let known = if archive {
            let members = members(path).map_err(|error| not(archive_problem(path, &error)))?;
            [
                members.contains_key("index.json"),
                members.contains_key("manifest.json"),
            ]
        } else {
            [path.join("index.json").is_file(), path.join("manifest.json").is_file()]
        };
        match known {
            [true, _] => {
                let index: Index = layout.top("index.json", "an image index")?;
                layout.index = index.manifests;
            }
            [false, true] => layout.saved = layout.top("manifest.json", "the list that docker save writes")?,
            _ if archive => return Err(not("there is no index.json in the archive".into())),
            _ => return Err(not("there is no index.json in the folder".into())),
        }
        Ok(layout)
    }

    /// The folder or archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The canonical names of all its images, without `:latest`.
    pub fn names(&self) -> Vec<String> {
        let listed = self.index.iter().filter_map(name).map(plain);
        let saved = self.saved.iter().flat_map(|saved| saved.names());
        listed.chain(saved).collect()
    }

    /// What skopeo calls a place of this kind.
    pub fn transport(&self) -> &'static str {
        match (self.archive, self.saved.is_empty()) {
            (false, _) => "oci",
            (true, true) => "oci-archive",
            (true, false) => "docker-archive",
        }
    }

    /// The descriptors of `index.json`, with the canonical name of each that has one.
    pub fn descriptors(&self) -> impl Iterator<Item = (Option<String>, &Descriptor)> {
        let named = |descriptor| (name(descriptor).map(plain), descriptor);
        self.index.iter().map(named)
    }

    /// The descriptor of an image: first among those of single images, then among indexes,
    /// as LinuxKit searches; by name, or by a digest in the name.
    pub fn find(&self, name: &str) -> Option<&Descriptor> {
        self.candidates(name).first().copied()
    }

    fn candidates(&self, name: &str) -> Vec<&Descriptor> {
        let with = |fits: &dyn Fn(&Descriptor) -> bool| -> Vec<&Descriptor> {
            self.index.iter().filter(|descriptor| fits(descriptor)).collect()
        };
        // As it is written, then with and without `:latest`.
        let mut found = with(&|descriptor| self::name(descriptor) == Some(name));
        if found.is_empty() {
            let wanted = plain(name);
            found = with(&|descriptor| self::name(descriptor).map(plain).as_ref() == Some(&wanted));
        }
        if let (true, Some((_, digest))) = (found.is_empty(), name.split_once('@')) {
            found = with(&|descriptor| descriptor.digest().as_ref() == digest);
        }
        let index = |descriptor: &&Descriptor| is_index(descriptor.media_type());
        found.sort_by_key(index);
        found
    }

    /// The image of a name for an architecture, if it is here.
    ///
    /// # Errors
    /// An image that is here, but not for the architecture, or damaged.
    pub fn image(&self, name: &str, arch: Arch) -> Result<Option<Image>, Error> {
        if let Some(saved) = self.saved.iter().find(|saved| saved.names().contains(&plain(name))) {
            return self.saved_image(name, saved)?.for_arch(arch).map(Some);
        }
        let mut other = None;
        for descriptor in self.candidates(name) {
            match self.resolve(name, arch, descriptor, DEEPEST, &mut 0) {
                Err(error @ Error::Architecture { .. }) => other = other.or(Some(error)),
                found => return found.map(Some),
            }
        }
        match other {
            Some(error) => Err(error),
            None => self.by_digest(name, arch),
        }
    }

    /// A blob by its descriptor, verified.
    ///
    /// # Errors
    /// A blob that is missing or is not what the descriptor says.
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

    /// Whether the blob of a descriptor is here.
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        let name = descriptor.digest().to_string();
        self.blob_location(descriptor.digest().as_ref()).open(&name).is_ok()
    }

    /// Configuration and layers of an image that `docker save` wrote.
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
            layer::check(stored, &slice)?;
            Ok(Extents::from_slice(slice))
        });
        let layers: Result<Vec<Extents>, Error> = layers.collect();
        Ok(Some((Extents::from_slice(image.source), layers?)))
    }

    /// Counts in `opened` the indexes that were read.
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
            // An index has said it of those in it.
            return match depth {
                DEEPEST => image.for_arch(arch),
                _ => Ok(image),
            };
        }
        *opened += 1;
        let index: ImageIndex = self.json(name, descriptor, "an image index")?;
        let wanted = oci_spec::image::Arch::from(arch.name());
        let mut found = Vec::new();
        for manifest in index.manifests() {
            let Some(platform) = manifest.platform() else {
                // Without a platform it may be another index, or an image for any.
                if is_index(manifest.media_type())
                    && depth > 0
                    && *opened < MOST_INDEXES
                    && let Ok(image) = self.resolve(name, arch, manifest, depth - 1, opened)
                {
                    return Ok(image);
                }
                continue;
            };
            if platform.os().to_string() == "linux" && *platform.architecture() == wanted {
                return match depth {
                    0 => Err(Error::NotAnImage {
                        name: name.to_owned(),
                        what: format!("its indexes are nested more than {DEEPEST} deep"),
                    }),
                    _ => self.resolve(name, arch, manifest, depth - 1, opened),
                };
            }
            if platform.architecture().to_string() != "unknown" {
                found.push(format!("{}/{}", platform.os(), platform.architecture()));
            }
        }
        if found.is_empty() {
            found.push("no platform at all".into());
        }
        Err(Error::Architecture {
            name: name.to_owned(),
            wanted: arch.platform(),
            found,
        })
    }

    fn manifest(&self, name: &str, descriptor: &Descriptor) -> Result<Image, Error> {
        let manifest: ImageManifest = self.json(name, descriptor, "an image manifest")?;
        let source = self.blob(name, manifest.config())?;
        let location = self.blob_location(manifest.config().digest().as_ref());
        let config: ImageConfiguration = parse(name, &location, &source, "an image configuration")?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(Error::NotAnImage {
                name: name.to_owned(),
                what: format!(
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
                    what: format!("manifest.json names {path:?}, which cannot be a file beside it"),
                });
            }
        }
        let location = self.location(&saved.config);
        let source = location.open(name)?;
        // The file is named after its digest.
        let hex: String = saved.config.chars().filter(char::is_ascii_hexdigit).collect();
        let hex = hex.get(hex.len().saturating_sub(64)..).unwrap_or_default();
        let stem = saved.config.rsplit('/').next().unwrap_or_default();
        if hex.len() == 64 && stem.trim_end_matches(".json") == hex {
            verify(name, &location, &source, None, &format!("sha256:{hex}"))?;
        }
        let config: ImageConfiguration = parse(name, &location, &source, "an image configuration")?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != saved.layers.len() {
            return Err(Error::NotAnImage {
                name: name.to_owned(),
                what: format!(
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

    /// Where a file of the layout is.
    fn location(&self, path: &str) -> Location {
        if self.archive {
            return Location {
                file: self.path.clone(),
                member: Some(path.to_owned()),
            };
        }
        Location {
            file: self.path.join(path),
            member: None,
        }
    }

    fn blob_location(&self, digest: &str) -> Location {
        // The digest type has checked algorithm and characters: no path can hide in it.
        self.location(&blob_path(digest))
    }

    /// A file at the top of the layout.
    fn top<T: DeserializeOwned>(&self, path: &str, what: &'static str) -> Result<T, Error> {
        let name = self.path.display().to_string();
        let location = self.location(path);
        let slice = location.open(&name)?;
        parse(&name, &location, &slice, what)
    }

    /// A blob of JSON, verified.
    ///
    /// # Errors
    /// A blob that is missing, damaged, or not what it should be.
    pub fn json<T: DeserializeOwned>(
        &self,
        name: &str,
        descriptor: &Descriptor,
        what: &'static str,
    ) -> Result<T, Error> {
        let location = self.blob_location(descriptor.digest().as_ref());
        let slice = self.blob(name, descriptor)?;
        parse(name, &location, &slice, what)
    }
}

/// What to say about an archive that is not a tar.
fn archive_problem(path: &Path, error: &io::Error) -> String {
    let mut start = [0; 6];
    let read = std::fs::File::open(path).and_then(|mut file| io::Read::read(&mut file, &mut start));
    match (read, start) {
        (Ok(_), [0x1f, 0x8b, ..]) => "it is compressed with gzip; unpack it with gunzip first".into(),
        (Ok(_), [0x28, 0xb5, 0x2f, 0xfd, ..]) => "it is compressed with zstd; unpack it with unzstd first".into(),
        (Ok(_), [0xfd, b'7', b'z', ..]) => "it is compressed with xz; unpack it with unxz first".into(),
        _ => error.to_string(),
    }
}

/// Whether a descriptor is of an index (OCI) or a manifest list (Docker).
pub(super) fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageIndex)
        || media_type.to_string() == "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// The name of a descriptor as it is written.
fn name(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    name_among(|key| annotations.get(key).map(String::as_str))
}

/// The name among annotations. `docker save` and containerd write all of it for containerd, and beside
/// that only the tag, which must not be taken for a name. LinuxKit writes all of it where others have
/// the tag; what it then leaves for containerd can be the name that the image had before.
pub(super) fn name_among<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    let (usual, containerd) = (annotation(REF_NAME), annotation(CONTAINERD_NAME));
    usual.filter(|name| name.contains('/')).or(containerd).or(usual)
}

/// The expanded form of a name without `:latest`, by which names are compared.
pub(super) fn plain(name: &str) -> String {
    match reference::parse(name) {
        Ok(reference) => reference.without_latest(),
        Err(_) => name.to_owned(),
    }
}

fn parse<T: DeserializeOwned>(name: &str, location: &Location, slice: &Slice, what: &'static str) -> Result<T, Error> {
    let wrong = |message: String| Error::Json {
        name: name.to_owned(),
        location: location.clone(),
        what,
        message,
    };
    if slice.len() > LONGEST_JSON {
        return Err(wrong(format!(
            "it has {} bytes; at most {LONGEST_JSON} are read",
            slice.len()
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

/// Refuses digests that are not computed here.
fn known_digest(name: &str, digest: &str) -> Result<(), Error> {
    if digest.starts_with("sha256:") {
        return Ok(());
    }
    Err(Error::NotAnImage {
        name: name.to_owned(),
        what: format!("it has the digest {digest}, and only sha256 is known here"),
    })
}

/// Compares the bytes with size and digest.
pub(crate) fn verify(
    name: &str,
    location: &Location,
    slice: &Slice,
    size: Option<u64>,
    digest: &str,
) -> Result<(), Error> {
    let mismatch = |what, expected: String, found: String| Error::Mismatch {
        name: name.to_owned(),
        location: location.clone(),
        what,
        expected,
        found,
    };
    known_digest(name, digest)?;
    if let Some(size) = size
        && size != slice.len()
    {
        let found = format!("{} bytes", slice.len());
        return Err(mismatch("size", format!("{size} bytes"), found));
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

/// `sha256:` and hexadecimal digits.
pub(crate) fn digest(hash: Sha256) -> String {
    use std::fmt::Write;
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
