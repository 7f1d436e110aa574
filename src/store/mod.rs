//! Images: from a reference to a verified configuration and layers.
//!
//! ```text
//! reference ──▶ source (cache folder, --layout folder, archive) ──▶ index ──▶ manifest ──▶ config
//!                                                                                     └──▶ layers
//! layer: blob (gzip, zstd, plain) ──decompressed once──▶ CACHE/moby/layers/sha256/DIFF_ID ──▶ Tree
//! ```
//!
//! A blob is used only after its size and digest were found to be what its descriptor says. Layers
//! that are kept decompressed are verified while a build is planned and written, and before any of
//! its files has its name.
//! What moby itself keeps stands in the folder `moby` beside `blobs`, where no other tool looks.

pub mod flatten;
mod layers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use extents::{Extents, Slice};
use oci_spec::image::Descriptor;
use serde_json::Value;
use tree::{Time, Tree};

use crate::arch::Arch;
use crate::oci::docker_archive;
pub use crate::oci::{Error, Image, ImageGraph, Layer, Layout, Location};
use crate::reporter::Progress;
pub use layers::Layers;

/// What `Store::open` needs to know.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The cache folder: an OCI layout where moby may also keep its own things. It need not
    /// exist.
    pub cache: Option<PathBuf>,
    /// More layouts, only read: folders or archives.
    pub layouts: Vec<PathBuf>,
    /// Whether opaque whiteouts hide what lower layers have, as containerd has it. LinuxKit pays no
    /// heed to them.
    pub opaque_whiteouts: bool,
}

/// All places where images are looked for.
#[derive(Debug)]
pub struct Store {
    layouts: Vec<Layout>,
    cache: Option<PathBuf>,
    layers: Layers,
    opaque_whiteouts: bool,
    unhidden: Mutex<BTreeMap<String, BTreeSet<Vec<u8>>>>,
}

impl Store {
    /// Opens the layouts named, then the cache folder.
    ///
    /// # Errors
    /// A layout that is missing or is not one.
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
        Ok(Store {
            layouts,
            cache: options.cache.clone(),
            layers: Layers::new(options.cache.as_deref()),
            opaque_whiteouts: options.opaque_whiteouts,
            unhidden: Mutex::default(),
        })
    }

    /// The cache folder.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// The layouts in the order in which they are searched.
    pub fn layouts(&self) -> &[Layout] {
        &self.layouts
    }

    /// Whether some layout has an image of this name.
    pub fn has(&self, name: &str) -> bool {
        self.layouts.iter().any(|layout| layout.find(name).is_some())
    }

    /// The image of a canonical reference (`docker.io/library/nginx`, with or without
    /// `:latest`) for an architecture (`amd64`).
    ///
    /// # Errors
    /// An image that is not there, is not there for the architecture, or whose manifest or
    /// configuration is damaged.
    pub fn image(&self, name: &str, arch: Arch) -> Result<Image, Error> {
        let mut wrong_arch = None;
        for layout in &self.layouts {
            match layout.image(name, arch) {
                Ok(Some(image)) => return Ok(image),
                Ok(None) => {}
                Err(error @ Error::Architecture { .. }) => wrong_arch = wrong_arch.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(wrong_arch.unwrap_or_else(|| self.not_found(name)))
    }

    fn not_found(&self, name: &str) -> Error {
        let searched = self.layouts.iter().map(|layout| layout.path().display().to_string());
        Error::NotFound {
            name: name.to_owned(),
            searched: searched.collect(),
            similar: self.similar(name),
            cache: self.cache.clone(),
        }
    }

    /// The name with its tag of the last image of a repository that the first layout which has
    /// one got (`docker.io/moby/syslinux`).
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

    /// Names in the layouts that somebody may have meant.
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

    /// Decompresses and verifies the layers of all the images, `jobs` at a time, so that
    /// [`Store::tree`] finds them ready.
    ///
    /// # Errors
    /// A layer that is missing, damaged, or expands without end.
    pub fn prepare(
        &self,
        images: &[Image],
        jobs: usize,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<(), Error> {
        self.layers.prepare(images, jobs, progress)
    }

    /// Lets layers that are kept decompressed be used before [`Store::settle`] has verified them.
    pub fn defer(&mut self) {
        self.layers.defer();
    }

    /// Verifies what was deferred; several threads may do it together. Before all are done, nothing
    /// that is made of the layers may be shown to anybody.
    ///
    /// # Errors
    /// A layer that is damaged, in its layout or as it is kept.
    pub fn settle(&self) -> Result<(), Error> {
        self.layers.settle()
    }

    /// Whether a kept layer was damaged. It was removed: all is well when all is done again.
    pub fn kept_damaged(&self) -> bool {
        self.layers.damaged()
    }

    /// The layers of an image laid over each other.
    ///
    /// # Errors
    /// Those of [`Store::prepare`], and entries of a layer that cannot be unpacked.
    pub fn tree(&self, image: &Image) -> Result<tree::Tree, Error> {
        let mut flat = flatten::empty();
        for layer in &image.layers {
            let tar = Extents::from_slice(Slice::whole(self.layers.get(layer)?));
            for folder in flatten::opaque(&flat, &tar, &image.name, layer)? {
                match self.opaque_whiteouts {
                    true => flat.clear(&folder),
                    false => self.leave(&image.name, folder),
                }
            }
            flatten::apply(&mut flat, &tar, &image.name, layer)?;
        }
        Ok(flat)
    }

    /// Reads an image with all its blobs, verified, from the first layout that has it. See
    /// [`Layout::graph`].
    ///
    /// # Errors
    /// An image that is not there, a blob that is missing or damaged, and an index with nothing
    /// that is wanted.
    pub fn graph(&self, name: &str, wanted: &dyn Fn(&Descriptor) -> Option<bool>) -> Result<ImageGraph, Error> {
        for layout in &self.layouts {
            if let Some(graph) = layout.graph(name, wanted)? {
                return Ok(graph);
            }
        }
        Err(self.not_found(name))
    }

    /// Reads the SPDX documents about an image for an architecture; none when it has no attestations.
    ///
    /// # Errors
    /// Attestations that are named and missing, or damaged.
    pub fn sboms(&self, name: &str, arch: Arch) -> Result<Vec<Value>, Error> {
        for layout in &self.layouts {
            if let Some(descriptor) = layout.find(name) {
                return layout.sboms(name, arch, descriptor);
            }
        }
        Ok(Vec::new())
    }

    /// Builds the files of a `docker load` archive of an image.
    ///
    /// # Errors
    /// Layers that are missing or damaged.
    pub fn docker_archive(&self, image: &Image, time: Time) -> Result<Tree, Error> {
        let layers: Result<Vec<Extents>, Error> = image
            .layers
            .iter()
            .map(|layer| Ok(Extents::from_slice(Slice::whole(self.layers.get(layer)?))))
            .collect();
        let diff_ids = image.layers.iter().map(|layer| layer.diff_id.clone());
        let layers = diff_ids.zip(layers?).collect();
        let config = Extents::from_slice(image.source.clone());
        Ok(docker_archive::tree(&image.name, config, layers, time))
    }

    fn leave(&self, image: &str, folder: Vec<u8>) {
        let mut unhidden = self.unhidden.lock().unwrap_or_else(PoisonError::into_inner);
        unhidden.entry(image.to_owned()).or_default().insert(folder);
    }

    /// The images of which trees were made, and the folders of each where opaque whiteouts would have
    /// hidden something.
    pub fn unhidden(&self) -> BTreeMap<String, BTreeSet<Vec<u8>>> {
        self.unhidden.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
