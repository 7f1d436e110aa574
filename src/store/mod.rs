//! Image store: from a reference to a verified configuration and layers.
//!
//! ```text
//! reference ──▶ source (cache, --layout directory, archive) ──▶ index ──▶ manifest ──▶ config
//!                                                                                     └──▶ layers
//! layer: blob (gzip, zstd, plain) ──decompressed once──▶ CACHE/moby/layers/sha256/DIFF_ID ──▶ Tree
//! ```
//!
//! A blob is used only after its size and digest were compared with its descriptor. Cached layers are
//! verified while a build is planned and written, before any of its files is renamed into place. moby's own files
//! are in the directory `moby` beside `blobs`, which no other tool uses.

pub mod flatten;
mod layer_cache;
#[cfg(feature = "registry")]
mod unpack;
pub mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use extents::Extents;
use oci_spec::image::Descriptor;
use serde_json::Value;
use tree::{Time, Tree};

use crate::arch::Arch;
use crate::diagnostic::Diagnostic;
use crate::oci::Files;
pub use crate::oci::{Error, Image, ImageDigests, ImageGraph, Layer, Layout, Location, Referrers};
use crate::oci::{docker_archive, reference, referrers};
use crate::reporter::Progress;
pub use layer_cache::LayerCache;
#[cfg(feature = "registry")]
pub use unpack::Unpacker;

/// Options of [`Store::open`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Cache directory: an OCI layout, in which moby also has files of its own. It need not exist.
    pub cache: Option<PathBuf>,
    /// Further layouts, read only: directories or archives.
    pub layouts: Vec<PathBuf>,
    /// Read-only caches of other users, searched after `cache`.
    pub shared: Vec<PathBuf>,
    /// Applies opaque whiteouts, as containerd does. LinuxKit ignores them.
    pub opaque_whiteouts: bool,
    /// Digests that images must have, by [`pin_key`].
    pub pins: BTreeMap<String, Pin>,
}

/// Digests that an image must have, whatever a layout has under its name.
#[derive(Clone, Debug)]
pub struct Pin {
    /// Digest of the index or manifest.
    pub digest: String,
    /// Digests of the manifests of the platforms: an index also changes when another platform does.
    pub manifests: Vec<String>,
    /// Digests of the configurations, as far as they are known: `docker save` archives have no
    /// manifests.
    pub configs: Vec<String>,
}

/// Returns the key of an image among the pins: its canonical name without the tag `latest`.
pub fn pin_key(name: &str) -> String {
    match reference::parse(name) {
        Ok(reference) => reference.without_latest(),
        Err(_) => name.to_owned(),
    }
}

/// Returns a name with a digest in place of the one that it may have.
pub fn with_digest(name: &str, digest: &str) -> String {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    format!("{name}@{digest}")
}

/// Returns the error for a user without a cache directory.
pub fn no_cache() -> Diagnostic {
    Diagnostic::error("cannot find the image cache: there is no home directory").help("choose a directory with --cache")
}

/// All sources of images.
#[derive(Debug)]
pub struct Store {
    layouts: Vec<Layout>,
    cache: Option<PathBuf>,
    layers: LayerCache,
    opaque_whiteouts: bool,
    pins: BTreeMap<String, Pin>,
    unhidden: Mutex<BTreeMap<String, BTreeSet<Vec<u8>>>>,
}

impl Store {
    /// Opens the layouts, then the cache directory.
    ///
    /// # Errors
    /// A layout that is missing or is not a layout.
    pub fn open(options: &Options) -> Result<Store, Error> {
        let mut layouts = Vec::new();
        for path in &options.layouts {
            layouts.push(Layout::open(path)?);
        }
        if let Some(cache) = &options.cache
            && cache.join("index.json").exists()
        {
            layouts.push(Layout::open(cache)?);
        }
        for shared in &options.shared {
            layouts.push(Layout::open(shared)?);
        }
        // A bundle may hold only what is new.
        let files: Vec<Files> = layouts.iter().map(Layout::files).collect();
        for (at, layout) in layouts.iter_mut().enumerate() {
            let others = files.iter().enumerate().filter(|(other, _)| *other != at);
            layout.complete(others.map(|(_, files)| files.clone()).collect());
        }
        Ok(Store {
            layouts,
            cache: options.cache.clone(),
            layers: LayerCache::new(options.cache.as_deref(), &options.shared),
            opaque_whiteouts: options.opaque_whiteouts,
            pins: options.pins.clone(),
            unhidden: Mutex::default(),
        })
    }

    /// Returns the cache directory.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// Returns the layouts in the order in which they are searched.
    pub fn layouts(&self) -> &[Layout] {
        &self.layouts
    }

    /// Records that images are used now, as far as they are in the cache.
    pub fn record_use<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let is_cache = |layout: &&Layout| Some(layout.path()) == self.cache.as_deref();
        let (Some(cache), Some(layout)) = (&self.cache, self.layouts.iter().find(is_cache)) else {
            return;
        };
        for name in names {
            if let Some(descriptor) = layout.find(&self.pinned(name)) {
                usage::record(cache, descriptor.digest().as_ref());
            }
        }
    }

    /// Returns whether a layout has an image of this name.
    pub fn has(&self, name: &str) -> bool {
        self.layouts.iter().any(|layout| layout.find(name).is_some())
    }

    /// Finds the image of a canonical reference (`docker.io/library/nginx`, with or without `:latest`)
    /// for an architecture.
    ///
    /// # Errors
    /// An image that is missing, has no such architecture, or has a corrupt manifest or configuration.
    pub fn image(&self, name: &str, arch: Arch) -> Result<Image, Error> {
        let mut wrong_arch = None;
        for layout in &self.layouts {
            match self.image_of(layout, name, arch) {
                Ok(Some(image)) => return Ok(image),
                Ok(None) => {}
                Err(error @ (Error::Architecture { .. } | Error::EmptyIndex { .. })) => {
                    wrong_arch = wrong_arch.or(Some(error))
                }
                Err(error) => return Err(error.with_arch(Some(arch))),
            }
        }
        Err(wrong_arch.unwrap_or_else(|| self.not_found(name).with_arch(Some(arch))))
    }

    /// Finds an image in one layout. A pinned image is found by its digest only, and keeps its name.
    fn image_of(&self, layout: &Layout, name: &str, arch: Arch) -> Result<Option<Image>, Error> {
        let Some(pin) = self.pins.get(&pin_key(name)) else {
            return layout.image(name, arch);
        };
        if let Some(image) = layout.image(&with_digest(name, &pin.digest), arch)? {
            return Ok(Some(image.named(name)));
        }
        for manifest in &pin.manifests {
            // The manifests of other architectures.
            match layout.image(&with_digest(name, manifest), arch) {
                Ok(Some(image)) => return Ok(Some(image.named(name))),
                Ok(None) | Err(Error::Architecture { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if !layout.is_saved() {
            return Ok(None);
        }
        // The configuration has the digests of the layers.
        let image = layout.image(name, arch)?;
        Ok(image.filter(|image| image.config_digest().is_ok_and(|digest| pin.configs.contains(&digest))))
    }

    /// Returns the name by which layouts find an image: with its digest, if it is pinned.
    fn pinned(&self, name: &str) -> String {
        match self.pins.get(&pin_key(name)) {
            Some(pin) => with_digest(name, &pin.digest),
            None => name.to_owned(),
        }
    }

    /// Returns the digests of an image in the first layout that has it.
    ///
    /// # Errors
    /// Indexes and manifests that are corrupt.
    pub fn digests(&self, name: &str) -> Result<Option<ImageDigests>, Error> {
        for layout in &self.layouts {
            if let Some(digests) = layout.digests(&self.pinned(name))? {
                return Ok(Some(digests));
            }
        }
        Ok(None)
    }

    /// Returns the error for an image that no layout has.
    pub fn not_found(&self, name: &str) -> Error {
        // A layout may have another image than the lock under the name.
        let searched = self.layouts.iter().map(|layout| {
            let path = layout.path().display();
            let other = layout.find(name).filter(|_| self.pins.contains_key(&pin_key(name)));
            match other {
                Some(found) => format!("{path} (which has {} under this name)", found.digest()),
                None => path.to_string(),
            }
        });
        Error::NotFound {
            name: self.pinned(name),
            searched: searched.collect(),
            similar: self.similar(name),
            arch: None,
        }
    }

    /// Finds the latest image of a repository (`docker.io/moby/syslinux`) in the first layout that has
    /// one. Returns its name with the tag.
    pub fn last_of(&self, repository: &str) -> Option<String> {
        self.layouts.iter().find_map(|layout| {
            let mut names = layout.names().into_iter();
            let tagged = |name: &String| {
                name.strip_prefix(repository)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            };
            names.rfind(tagged)
        })
    }

    /// Lists similar names in the layouts.
    fn similar(&self, name: &str) -> Vec<String> {
        let base = |name: &str| {
            let name = name.split('@').next().unwrap_or_default();
            let last = name.rsplit('/').next().unwrap_or_default();
            last.split(':').next().unwrap_or_default().to_owned()
        };
        let wanted = base(name);
        let mut names: Vec<String> = self
            .layouts
            .iter()
            .flat_map(Layout::names)
            .filter(|known| base(known) == wanted || strsim::jaro_winkler(known, name) > 0.93)
            .collect();
        names.sort();
        names.dedup();
        names.truncate(5);
        names
    }

    /// Decompresses and verifies the layers of the images in `jobs` threads, for [`Store::tree`].
    ///
    /// # Errors
    /// A layer that is missing, corrupt, or expands without end.
    pub fn prepare(
        &self,
        images: &[Image],
        jobs: usize,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<(), Error> {
        self.layers.prepare(images, jobs, progress)
    }

    /// Lets cached layers be used before [`Store::verify_pending`] has verified them.
    pub fn defer_verification(&mut self) {
        self.layers.defer_verification();
    }

    /// Verifies the cached layers that were used unverified. Several threads may call it to share the
    /// work. Until all have returned, no output may be renamed into place.
    ///
    /// # Errors
    /// A layer that is corrupt, in its layout or in the cache.
    pub fn verify_pending(&self) -> Result<(), Error> {
        self.layers.verify_pending()
    }

    /// Returns the number of bytes that [`Store::verify_pending`] has read.
    pub fn verified(&self) -> u64 {
        self.layers.verified()
    }

    /// Returns whether a corrupt cached layer was removed; a second attempt rebuilds it.
    pub fn has_corrupt_layer(&self) -> bool {
        self.layers.has_corrupt()
    }

    /// Returns the reason why the layer cache cannot be written. Builds then decompress every layer.
    pub fn unwritable_cache(&self) -> Option<&Error> {
        self.layers.unwritable()
    }

    /// Builds the tree of an image from its layers. The [`tree::Meta::source`] of a node is the number
    /// of its layer, the lowest of which is 1.
    ///
    /// # Errors
    /// A layer that is missing or corrupt, and entries that cannot be unpacked.
    pub fn tree(&self, image: &Image) -> Result<Tree, Error> {
        self.tree_with(image, &mut |_| {})
    }

    /// Builds the tree of an image, and passes it to `applied` after each layer.
    ///
    /// # Errors
    /// The errors of [`Store::tree`].
    pub fn tree_with(&self, image: &Image, applied: &mut dyn FnMut(&Tree)) -> Result<Tree, Error> {
        let mut flat = flatten::empty();
        for (layer, number) in image.layers.iter().zip(1..) {
            let tar = Extents::from_blob(self.layers.get(layer)?);
            for dir in flatten::opaque(&flat, &tar, &image.name, layer)? {
                if self.opaque_whiteouts {
                    flat.clear(&dir);
                } else {
                    let mut unhidden = self.unhidden.lock().unwrap_or_else(PoisonError::into_inner);
                    unhidden.entry(image.name.clone()).or_default().insert(dir);
                }
            }
            flatten::apply(&mut flat, &tar, &image.name, layer, number)?;
            applied(&flat);
        }
        Ok(flat)
    }

    /// Reads an image with all its blobs, verified, from the first layout that has it. See
    /// [`Layout::graph`].
    ///
    /// # Errors
    /// An image that is missing, a blob that is missing or corrupt, and an index without a wanted
    /// manifest.
    pub fn graph(&self, name: &str, wanted: &dyn Fn(&Descriptor) -> Option<bool>) -> Result<ImageGraph, Error> {
        let wanted_name = self.pinned(name);
        for layout in &self.layouts {
            let is_pinned_save = layout.is_saved() && wanted_name != name;
            let found = if is_pinned_save {
                layout.graph(name, wanted)?.filter(|graph| {
                    let digest = graph.top.get("digest").and_then(Value::as_str);
                    digest.is_some_and(|digest| wanted_name.ends_with(digest))
                })
            } else {
                layout.graph(&wanted_name, wanted)?
            };
            if let Some(graph) = found {
                return Ok(graph);
            }
        }
        Err(self.not_found(name))
    }

    /// Reads what refers to an image and to the manifests of it, such as signatures: each under the name that
    /// it has in a registry.
    ///
    /// # Errors
    /// Blobs that are missing or corrupt.
    pub fn referrers(&self, name: &str, graph: &ImageGraph) -> Result<Vec<(String, ImageGraph)>, Error> {
        let named = referrers::named(name, &self.referrers_of(graph)?);
        named.map_err(|error| Error::Unreadable {
            path: self
                .layouts
                .first()
                .map(|layout| layout.path().to_owned())
                .unwrap_or_default(),
            reason: error.to_string(),
        })
    }

    /// Reads what refers to an image and to the manifests of it, such as signatures, by their digests.
    ///
    /// # Errors
    /// Signatures that are corrupt.
    pub fn referrers_of(&self, graph: &ImageGraph) -> Result<Vec<(String, Referrers)>, Error> {
        let mut all: Vec<(String, Referrers)> = Vec::new();
        for layout in &self.layouts {
            for (digest, referrers) in layout.referrers_of(graph)? {
                match all.iter_mut().find(|(known, _)| *known == digest) {
                    Some((_, known)) => known.merge(referrers),
                    None => all.push((digest, referrers)),
                }
            }
        }
        Ok(all)
    }

    /// Returns the digest of an image's manifest or index. The list is empty for a `docker save` archive.
    /// `None` if no layout has the image.
    pub fn top_digests(&self, name: &str) -> Option<Vec<String>> {
        self.layouts.iter().find_map(|layout| {
            let descriptor = layout
                .find(&self.pinned(name))
                .map(|found| vec![found.digest().to_string()]);
            descriptor.or_else(|| layout.has_saved(name).then(Vec::new))
        })
    }

    /// Reads the SPDX documents in the attestations of an image for an architecture.
    ///
    /// # Errors
    /// Attestations that the index lists and that are missing or corrupt.
    pub fn sboms(&self, name: &str, arch: Arch) -> Result<Vec<Value>, Error> {
        for layout in &self.layouts {
            if let Some(descriptor) = layout.find(&self.pinned(name)) {
                return layout.sboms(name, arch, descriptor);
            }
        }
        Ok(Vec::new())
    }

    /// Builds the files of a `docker load` archive of an image.
    ///
    /// # Errors
    /// Layers that are missing or corrupt.
    pub fn docker_archive(&self, image: &Image, time: Time) -> Result<Tree, Error> {
        let layers: Result<Vec<Extents>, Error> = image
            .layers
            .iter()
            .map(|layer| Ok(Extents::from_blob(self.layers.get(layer)?)))
            .collect();
        let diff_ids = image.layers.iter().map(|layer| layer.diff_id.clone());
        let layers = diff_ids.zip(layers?).collect();
        let config = Extents::from_slice(image.source.clone());
        Ok(docker_archive::tree(&image.name, config, layers, time))
    }

    /// Returns the directories in which opaque whiteouts would have hidden entries, by image.
    pub fn unhidden(&self) -> BTreeMap<String, BTreeSet<Vec<u8>>> {
        self.unhidden.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
