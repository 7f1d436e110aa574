//! Sources of the files of a system: section of the YAML, image and layer.
//!
//! ```text
//! {"sources": [{"section": "init[0]", "image": NAME, "digest": DIGEST, "layer": DIGEST}, ...],
//!  "files": {"etc/motd": 0, ...},                   index into sources
//!  "partitions": {LABEL: {"a": 1, ...}, ...}}
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tree::{Tree, show};

use crate::resolve::Resolved;
use crate::system::System;

/// Type of the predicate.
pub const PREDICATE_TYPE: &str = "https://github.com/moby-rs/moby/blob/main/docs/reference/provenance.md#sources-v1";
/// Suffix of the name of the document.
pub const SUFFIX: &str = ".sources.json";

/// Predicate of the document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sources {
    /// Sources, without those of which no file is left.
    sources: Vec<Source>,
    /// Indexes of the sources of the files in the root filesystem. Directories are not listed.
    files: BTreeMap<String, usize>,
    /// Indexes of the sources of the files in partitions that the YAML describes, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    partitions: BTreeMap<String, BTreeMap<String, usize>>,
}

/// Source of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Path of the section in the YAML; empty for what moby itself adds.
    pub section: String,
    /// Canonical name of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Digest of the image's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Digest of the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
}

impl Sources {
    /// Lists the files at a path and below it, each with its source. Files of partitions are below
    /// `PARTITION:`. Without a path, all files are listed.
    pub fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (String, &'a Source)> {
        let path = path.trim_matches('/');
        let root = self.files.iter().map(|(file, at)| (file.clone(), at));
        let partitions = self
            .partitions
            .iter()
            .flat_map(|(label, files)| files.iter().map(move |(file, at)| (format!("{label}:{file}"), at)));
        root.chain(partitions).filter_map(move |(file, at)| {
            let rest = file.strip_prefix(path)?;
            let is_below = path.is_empty() || rest.is_empty() || rest.starts_with('/');
            let source = self.sources.get(*at).filter(|_| is_below)?;
            Some((file, source))
        })
    }
}

/// Builds the predicate about a system.
pub(super) fn predicate(system: &System, resolved: &Resolved) -> Value {
    let mut sources = Sources::default();
    let mut numbers = BTreeMap::new();
    sources.files = files(&system.complete, system, resolved, &mut sources.sources, &mut numbers);
    for partition in &system.partitions {
        if let Some(content) = &partition.content {
            let files = files(content.tree(), system, resolved, &mut sources.sources, &mut numbers);
            sources.partitions.insert(partition.label.clone(), files);
        }
    }
    serde_json::to_value(sources).unwrap_or_default()
}

/// Lists the files of a tree with the indexes of their sources, which are added to the list when they are
/// first met.
fn files(
    tree: &Tree,
    system: &System,
    resolved: &Resolved,
    sources: &mut Vec<Source>,
    numbers: &mut BTreeMap<u32, usize>,
) -> BTreeMap<String, usize> {
    let items = tree.walk().filter(|named| !named.node.kind.is_directory());
    let files = items.map(|named| {
        let meta = &named.node.meta;
        let number = *numbers.entry(meta.source).or_insert_with(|| {
            sources.push(
                system
                    .source(meta)
                    .map(|source| describe(source, resolved))
                    .unwrap_or_default(),
            );
            sources.len() - 1
        });
        (show(&named.path), number)
    });
    files.collect()
}

fn describe(source: &crate::system::Source, resolved: &Resolved) -> Source {
    let image = source.image.as_ref().and_then(|name| resolved.images.get(name));
    let layer = image.zip(source.layer).and_then(|(image, at)| image.layers.get(at));
    Source {
        section: source.field.clone(),
        image: source.image.clone(),
        digest: image.and_then(|image| image.digest().map(str::to_owned)),
        layer: layer.map(|layer| layer.digest().to_owned()),
    }
}
