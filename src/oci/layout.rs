//! Sources of images: OCI layout directories, OCI archives, and `docker save` archives (OCI Image Layout
//! Specification).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use extents::Slice;
use oci_spec::image::{Descriptor, MediaType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::blob::{Location, check_json_len, describe, read_json, verify};
use super::docker_save::Saved;
use super::files::Files;
use super::referrers::is_attachment;
use super::{Error, reference};

/// Annotation of a descriptor with the name of the image.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation with the full name, as containerd and `docker save` write it.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

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
    /// Manifests that refer to each digest.
    referring: OnceLock<BTreeMap<String, Vec<Descriptor>>>,
    /// Positions in `index` and in `saved` of each canonical name without `:latest`.
    by_name: OnceLock<(Positions, Positions)>,
}

/// Positions in a list, by name.
type Positions = BTreeMap<String, Vec<usize>>;

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
            referring: OnceLock::new(),
            by_name: OnceLock::new(),
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
        let listed = self.index.iter().filter_map(name).map(without_latest);
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

    /// Lists the manifests that refer to each digest.
    pub(super) fn referring(&self) -> &BTreeMap<String, Vec<Descriptor>> {
        self.referring.get_or_init(|| self.find_referring())
    }

    /// Lists the descriptors of `index.json`, with their canonical names.
    pub fn descriptors(&self) -> impl Iterator<Item = (Option<String>, &Descriptor)> {
        let named = |descriptor| (name(descriptor).map(without_latest), descriptor);
        self.index.iter().map(named)
    }

    /// Finds the descriptor of an image by name, or by a digest in the name: first among manifests, then
    /// among indexes, as LinuxKit does.
    pub fn find(&self, name: &str) -> Option<&Descriptor> {
        self.candidates(name).first().copied()
    }

    /// Returns whether this is a `docker save` archive with an image of the name.
    pub(crate) fn has_saved(&self, name: &str) -> bool {
        self.saved(name).is_some()
    }

    /// Lists the descriptors that a name fits, manifests before indexes.
    pub(super) fn candidates(&self, name: &str) -> Vec<&Descriptor> {
        let (positions, _) = self.by_name();
        let positions = positions.get(&without_latest(name)).into_iter().flatten();
        let named = positions.filter_map(|&position| self.index.get(position));
        let mut found: Vec<&Descriptor> = named.filter(|descriptor| !is_attachment(descriptor)).collect();
        // As written, else with and without `:latest`.
        if found.iter().any(|descriptor| self::name(descriptor) == Some(name)) {
            found.retain(|descriptor| self::name(descriptor) == Some(name));
        }
        if let (true, Some((_, digest))) = (found.is_empty(), name.split_once('@')) {
            let images = self.index.iter().filter(|descriptor| !is_attachment(descriptor));
            found = images
                .filter(|descriptor| descriptor.digest().as_ref() == digest)
                .collect();
        }
        // A name may be wrong about its digest.
        if let Some((_, digest)) = name.split_once('@') {
            found.retain(|descriptor| descriptor.digest().as_ref() == digest);
        }
        let index = |descriptor: &&Descriptor| is_index(descriptor.media_type());
        found.sort_by_key(index);
        found
    }

    /// Finds an image of a `docker save` archive by name.
    pub(super) fn saved(&self, name: &str) -> Option<&Saved> {
        let (_, saved) = self.by_name();
        self.saved.get(*saved.get(&without_latest(name))?.first()?)
    }

    /// Lists the positions of names in `index` and in `saved`.
    fn by_name(&self) -> &(Positions, Positions) {
        self.by_name.get_or_init(|| {
            let (mut index, mut saved) = (Positions::new(), Positions::new());
            for (position, descriptor) in self.index.iter().enumerate() {
                if let Some(name) = name(descriptor) {
                    index.entry(without_latest(name)).or_default().push(position);
                }
            }
            for (position, image) in self.saved.iter().enumerate() {
                for name in image.names() {
                    saved.entry(name).or_default().push(position);
                }
            }
            (index, saved)
        })
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

    /// Returns whether the blob of a descriptor is in this layout.
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        let name = descriptor.digest().to_string();
        self.blob_location(descriptor.digest().as_ref()).open(&name).is_ok()
    }

    /// Returns the place of a file of the layout.
    pub(super) fn location(&self, path: &str) -> Location {
        self.files.location(path)
    }

    /// Reads a JSON file at the top of the layout.
    fn top<T: DeserializeOwned>(&self, path: &str, expected: &'static str) -> Result<T, Error> {
        let name = self.path.display().to_string();
        let location = self.location(path);
        let slice = location.open(&name)?;
        read_json(&name, &location, &slice, expected)
    }

    /// Reads and verifies a JSON blob.
    ///
    /// # Errors
    /// A blob that is missing, corrupt, or of another kind.
    pub fn json<T: DeserializeOwned>(
        &self,
        name: &str,
        descriptor: &Descriptor,
        expected: &'static str,
    ) -> Result<T, Error> {
        let location = self.blob_location(descriptor.digest().as_ref());
        // The digest of a file without end would take as long.
        check_json_len(name, &location, &location.open(name)?, expected)?;
        let slice = self.blob(name, descriptor)?;
        read_json(name, &location, &slice, expected)
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
pub(super) fn without_latest(name: &str) -> String {
    match reference::parse(name) {
        Ok(reference) => reference.without_latest(),
        Err(_) => name.to_owned(),
    }
}
