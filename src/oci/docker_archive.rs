//! Archives for `docker load` (Docker Image Specification v1.2, Combined Image JSON + Filesystem
//! Changeset Format).

use extents::Extents;
use serde_json::json;
use tree::{Kind, Meta, Time, Tree};

/// Builds the files of an archive: `manifest.json`, the configuration, and the layers, given as
/// digests and tars.
pub fn tree(name: &str, config: Extents, layers: Vec<(String, Extents)>, time: Time) -> Tree {
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    // A digest of bytes in memory cannot fail.
    let digest = super::graph::digest_of(&config).unwrap_or_default();
    let config_name = format!("{}.json", hex(&digest));
    // Docker requires a tag.
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let tagged = if last.contains(':') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    };
    let names: Vec<String> = layers
        .iter()
        .map(|(digest, _)| format!("{}.tar", hex(digest)))
        .collect();
    let manifest = json!([{"Config": config_name, "RepoTags": [tagged], "Layers": names}]);
    let meta = Meta::new(0o644, time);
    let dir = Meta::new(0o755, time);
    let mut tree = Tree::new(dir.clone());
    let mut put = |name: &str, content: Extents| {
        // A name of hexadecimal digits is always valid.
        let _ = tree.insert(name.as_bytes(), meta.clone(), Kind::File(content), &dir);
    };
    for (name, (_, content)) in names.iter().zip(layers) {
        put(name, content);
    }
    put(&config_name, config);
    put("manifest.json", Extents::from_bytes(manifest.to_string().into_bytes()));
    tree
}
