//! `manifest.json` of `docker save`, for archives without an OCI layout
//! (Docker Image Specification v1.2, Combined Image JSON + Filesystem Changeset Format).

use serde::Deserialize;

use super::layout::without_latest;

/// Image of a `docker save` archive.
#[derive(Clone, Debug, Deserialize)]
pub struct Saved {
    /// Path of the configuration.
    #[serde(rename = "Config")]
    pub config: String,
    /// Names, each with a tag.
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    /// Paths of the layers, lowest first.
    #[serde(rename = "Layers")]
    pub layers: Vec<String>,
}

impl Saved {
    /// Returns the canonical names, without `:latest`.
    pub fn names(&self) -> Vec<String> {
        self.tags.iter().flatten().map(|name| without_latest(name)).collect()
    }
}
