//! Descriptors in the index of an image, and in nested indexes.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use super::layout::is_index;
use super::lookup::{MAX_DEPTH, MAX_INDEXES};
use super::{Error, Image, Layout};
use crate::arch::Arch;

/// Maximum number of descriptors in all indexes of an image together; an index of maximum length has
/// about as many.
const MAX_LISTED: usize = 100_000;

impl Layout {
    /// Lists the platforms whose manifests are in this layout, as `linux/amd64`.
    ///
    /// # Errors
    /// An index that is missing or corrupt.
    pub fn platforms(&self, name: &str, descriptor: &Descriptor) -> Result<Vec<String>, Error> {
        if !is_index(descriptor.media_type()) {
            return match self.platform_of(name, descriptor) {
                Ok(platform) if platform != "/" => Ok(vec![platform]),
                // Signatures and other artifacts have no platform.
                Ok(_) | Err(Error::Json { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        let listed = self.below(name, descriptor)?;
        let there = listed.iter().filter(|listed| self.has_blob(listed));
        let platforms = there.filter_map(|listed| listed.platform().as_ref());
        let known = platforms.filter(|platform| platform.architecture().to_string() != "unknown");
        Ok(known
            .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
            .collect())
    }

    /// Returns the sizes of the blobs of an image that are in this layout, in bytes, by digest. Layers are
    /// not read.
    ///
    /// # Errors
    /// Indexes and manifests that are corrupt.
    pub fn sizes(&self, name: &str, top: &Descriptor) -> Result<BTreeMap<String, u64>, Error> {
        let mut sizes = BTreeMap::new();
        let listed = self.below(name, top)?;
        for descriptor in std::iter::once(top).chain(&listed) {
            if !self.has_digest(descriptor.digest().as_ref()) {
                continue;
            }
            sizes.insert(descriptor.digest().to_string(), descriptor.size());
            if is_index(descriptor.media_type()) {
                continue;
            }
            let manifest: ImageManifest = self.json(name, descriptor, "an image manifest")?;
            let blobs = std::iter::once(manifest.config()).chain(manifest.layers());
            let here = blobs.filter(|blob| self.has_digest(blob.digest().as_ref()));
            sizes.extend(here.map(|blob| (blob.digest().to_string(), blob.size())));
        }
        Ok(sizes)
    }

    /// Lists the platforms of an image that are in this layout, each as the digests of its manifest and of
    /// the index above it: a signature of either counts. An image without platforms is its own platform.
    pub fn chains(&self, name: &str, descriptor: &Descriptor) -> Vec<Vec<String>> {
        let top = descriptor.digest().to_string();
        let listed = self.below(name, descriptor).unwrap_or_default();
        let there = listed.iter().filter(|listed| {
            let platform = listed.platform().as_ref();
            platform.is_some_and(|platform| platform.architecture().to_string() != "unknown") && self.has_blob(listed)
        });
        let mut chains: Vec<_> = there
            .map(|listed| vec![listed.digest().to_string(), top.clone()])
            .collect();
        if chains.is_empty() {
            chains.push(vec![top]);
        }
        chains
    }

    /// Lists the descriptors below an index: manifests, and nested indexes before their manifests, as far
    /// as this layout has them. A manifest has none.
    pub(super) fn below(&self, name: &str, top: &Descriptor) -> Result<Vec<Descriptor>, Error> {
        let too_much = |reason: String| Error::NotAnImage {
            name: name.to_owned(),
            reason,
        };
        let (mut all, mut opened) = (Vec::new(), BTreeSet::new());
        let mut open = vec![(top.clone(), 0)];
        while let Some((descriptor, depth)) = open.pop() {
            let nested = depth > 0;
            let is_index = is_index(descriptor.media_type());
            if nested {
                all.push(descriptor.clone());
            }
            // Listed twice, or an index of other platforms that this layout lacks.
            if !is_index || !opened.insert(descriptor.digest().to_string()) || (nested && !self.has_blob(&descriptor)) {
                continue;
            }
            if depth > MAX_DEPTH {
                return Err(too_much(format!("its indexes are nested more than {MAX_DEPTH} deep")));
            }
            if opened.len() > MAX_INDEXES {
                return Err(too_much(format!("it has more than {MAX_INDEXES} indexes")));
            }
            let index: ImageIndex = self.json(name, &descriptor, "an image index")?;
            let listed = index.manifests().iter().rev().cloned();
            open.extend(listed.map(|listed| (listed, depth + 1)));
            if all.len() + open.len() > MAX_LISTED {
                return Err(too_much(format!("its indexes list more than {MAX_LISTED} manifests")));
            }
        }
        Ok(all)
    }

    /// Finds an image by a digest that is not in `index.json`, but in an index below it.
    pub(super) fn by_digest(&self, name: &str, arch: Arch) -> Result<Option<Image>, Error> {
        let Some((_, digest)) = name.split_once('@') else {
            return Ok(None);
        };
        for (_, top) in self.descriptors() {
            // A corrupt index of another image does not matter here.
            let listed = self.below(name, top).unwrap_or_default();
            if let Some(descriptor) = listed.iter().find(|listed| listed.digest().as_ref() == digest) {
                return self.resolve(name, arch, descriptor, MAX_DEPTH, &mut 0).map(Some);
            }
        }
        Ok(None)
    }
}
