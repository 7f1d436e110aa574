//! `manifest.json` of what `docker save` wrote before it also wrote an OCI layout
//! (Docker Image Specification v1.2, Combined Image JSON + Filesystem Changeset Format).

use serde::Deserialize;

use super::layout::plain;

/// One image of the archive.
#[derive(Clone, Debug, Deserialize)]
pub struct Saved {
    /// The path of its configuration.
    #[serde(rename = "Config")]
    pub config: String,
    /// Its names, always with a tag.
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    /// The paths of its layers, the lowest first.
    #[serde(rename = "Layers")]
    pub layers: Vec<String>,
}

impl Saved {
    /// Its canonical names, without `:latest`.
    pub fn names(&self) -> Vec<String> {
        self.tags.iter().flatten().map(|name| plain(name)).collect()
    }
}
