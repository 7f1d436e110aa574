//! What is listed in the index of an image, and in the indexes that it lists.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, ImageIndex};

use super::layout::{DEEPEST, MOST_INDEXES, is_index};
use super::{Error, Image, Layout};
use crate::arch::Arch;

/// How many manifests the indexes of an image may list together; an index of the longest kind has
/// about as many.
const MOST_LISTED: usize = 100_000;

impl Layout {
    /// The platforms that an image is here for, as `linux/amd64`.
    ///
    /// # Errors
    /// An index that is missing or damaged.
    pub fn platforms(&self, name: &str, descriptor: &Descriptor) -> Result<Vec<String>, Error> {
        let listed = self.below(name, descriptor)?;
        let there = listed.iter().filter(|listed| self.has_blob(listed));
        let platforms = there.filter_map(|listed| listed.platform().as_ref());
        let known = platforms.filter(|platform| platform.architecture().to_string() != "unknown");
        Ok(known
            .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
            .collect())
    }

    /// The descriptors below an index: manifests, and further indexes before what they list, as far as
    /// they are here. Nothing below a manifest.
    pub(super) fn below(&self, name: &str, top: &Descriptor) -> Result<Vec<Descriptor>, Error> {
        let too_much = |what: String| Error::NotAnImage {
            name: name.to_owned(),
            what,
        };
        let (mut all, mut opened) = (Vec::new(), BTreeSet::new());
        let mut open = vec![(top.clone(), 0)];
        while let Some((descriptor, depth)) = open.pop() {
            let nested = depth > 0;
            let is_index = is_index(descriptor.media_type());
            if nested {
                all.push(descriptor.clone());
            }
            // Listed twice, or, as an index of other platforms, not here.
            if !is_index || !opened.insert(descriptor.digest().to_string()) || (nested && !self.has_blob(&descriptor)) {
                continue;
            }
            if depth > DEEPEST {
                return Err(too_much(format!("its indexes are nested more than {DEEPEST} deep")));
            }
            if opened.len() > MOST_INDEXES {
                return Err(too_much(format!("it has more than {MOST_INDEXES} indexes")));
            }
            let index: ImageIndex = self.json(name, &descriptor, "an image index")?;
            let listed = index.manifests().iter().rev().cloned();
            open.extend(listed.map(|listed| (listed, depth + 1)));
            if all.len() + open.len() > MOST_LISTED {
                return Err(too_much(format!("its indexes list more than {MOST_LISTED} manifests")));
            }
        }
        Ok(all)
    }

    /// A name with a digest that no descriptor of `index.json` has may still be the digest of
    /// a manifest below one of them.
    pub(super) fn by_digest(&self, name: &str, arch: Arch) -> Result<Option<Image>, Error> {
        let Some((_, digest)) = name.split_once('@') else {
            return Ok(None);
        };
        for (_, top) in self.descriptors() {
            // What is wrong with other images is no matter of this one.
            let listed = self.below(name, top).unwrap_or_default();
            if let Some(descriptor) = listed.iter().find(|listed| listed.digest().as_ref() == digest) {
                return self.resolve(name, arch, descriptor, DEEPEST, &mut 0).map(Some);
            }
        }
        Ok(None)
    }
}
