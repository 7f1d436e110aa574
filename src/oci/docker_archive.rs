//! An image as what `docker load` reads (Docker Image Specification v1.2, Combined Image JSON +
//! Filesystem Changeset Format).

use extents::Extents;
use serde_json::json;
use tree::{Kind, Meta, Time, Tree};

/// Builds the files of an archive: `manifest.json`, the configuration, and the layers, which are
/// tars with their digests.
pub fn tree(name: &str, config: Extents, layers: Vec<(String, Extents)>, time: Time) -> Tree {
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    // A digest of bytes in memory cannot fail.
    let digest = super::graph::digest_of(&config).unwrap_or_default();
    let config_name = format!("{}.json", hex(&digest));
    // Docker wants a tag.
    let tagged = match name.rsplit_once('/').map_or(name, |(_, last)| last).contains(':') {
        true => name.to_owned(),
        false => format!("{name}:latest"),
    };
    let names: Vec<String> = layers
        .iter()
        .map(|(digest, _)| format!("{}.tar", hex(digest)))
        .collect();
    let manifest = json!([{"Config": config_name, "RepoTags": [tagged], "Layers": names}]);
    let meta = Meta::new(0o644, time);
    let folder = Meta::new(0o755, time);
    let mut tree = Tree::new(folder.clone());
    let mut put = |name: &str, content: Extents| {
        // Names of digits fit anywhere.
        let _ = tree.insert(name.as_bytes(), meta.clone(), Kind::File(content), &folder);
    };
    for (name, (_, content)) in names.iter().zip(layers) {
        put(name, content);
    }
    put(&config_name, config);
    put("manifest.json", Extents::from_bytes(manifest.to_string().into_bytes()));
    tree
}
