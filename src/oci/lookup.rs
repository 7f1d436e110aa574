//! From the name of an image in a layout to its configuration and layers for an architecture.

use std::path::{Component, Path};

use extents::{Extents, Slice};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};

use super::blob::{Location, check_algorithm, check_json_len, read_json, verify};
use super::docker_save::Saved;
use super::layout::is_index;
use super::{Error, Image, ImageDigests, Layer, Layout, PlatformDigests, layer};
use crate::arch::Arch;

/// Maximum depth of nested indexes.
pub(super) const MAX_DEPTH: usize = 4;
/// Maximum number of indexes that are read for one image: indexes may refer to each other.
pub(super) const MAX_INDEXES: usize = 64;

impl Layout {
    /// Finds the image of a name for an architecture.
    ///
    /// # Errors
    /// An image that exists, but not for the architecture, or is corrupt.
    pub fn image(&self, name: &str, arch: Arch) -> Result<Option<Image>, Error> {
        if let Some(saved) = self.saved(name) {
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

    /// Returns configuration and layers of an image of a `docker save` archive.
    ///
    /// # Errors
    /// Parts that are missing or corrupt.
    pub(super) fn saved_parts(&self, name: &str) -> Result<Option<(Extents, Vec<Extents>)>, Error> {
        let Some(saved) = self.saved(name) else {
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
        let Some(saved) = self.saved(name) else {
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
    /// An image for other architectures only, and blobs that are missing or corrupt.
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
        let within = |mut image: Image| {
            image.digests.push(descriptor.digest().to_string());
            image
        };
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
                        Ok(image) => return Ok(within(image)),
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
                    self.resolve(name, arch, manifest, depth - 1, opened).map(within)
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
                Error::EmptyIndex {
                    name,
                    wanted,
                    found,
                    arch: Some(arch),
                }
            }
        })
    }

    fn manifest(&self, name: &str, descriptor: &Descriptor) -> Result<Image, Error> {
        let manifest: ImageManifest = self.json(name, descriptor, "an image manifest")?;
        let location = self.blob_location(manifest.config().digest().as_ref());
        check_json_len(name, &location, &location.open(name)?, "an image configuration")?;
        let source = self.blob(name, manifest.config())?;
        for layer in manifest.layers() {
            check_algorithm(name, layer.digest().as_ref())?;
        }
        let layers = manifest.layers().iter().map(|layer| {
            let expected = (layer.size(), layer.digest().to_string());
            (self.blob_location(layer.digest().as_ref()), Some(expected))
        });
        let mut image = image(name, &location, source, "its manifest", layers.collect())?;
        image.digests.push(descriptor.digest().to_string());
        Ok(image)
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
        let layers = saved.layers.iter().map(|path| (self.location(path), None));
        image(name, &location, source, "manifest.json", layers.collect())
    }
}

/// Creates an image from its configuration, and the places of its layers with their sizes and digests.
/// `list` names the file that lists the layers.
fn image(
    name: &str,
    location: &Location,
    source: Slice,
    list: &str,
    layers: Vec<(Location, Option<(u64, String)>)>,
) -> Result<Image, Error> {
    let config: ImageConfiguration = read_json(name, location, &source, "an image configuration")?;
    check_config(name, &config)?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != layers.len() {
        return Err(Error::NotAnImage {
            name: name.to_owned(),
            reason: format!(
                "{list} has {} layers and its configuration {} diff_ids",
                layers.len(),
                diff_ids.len()
            ),
        });
    }
    let layers = layers.into_iter().zip(diff_ids);
    let layers = layers.map(|((location, expected), diff_id)| Layer {
        image: name.to_owned(),
        location,
        expected,
        diff_id: diff_id.clone(),
        arch: config.architecture().to_string().parse().ok(),
    });
    Ok(Image {
        name: name.to_owned(),
        digests: Vec::new(),
        layers: layers.collect(),
        source,
        config,
    })
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
