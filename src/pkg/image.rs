//! A package's tree as an image in the store.

use serde_json::{Value, json};
use tree::Tree;

use super::Options;
use super::recipe::Recipe;
use crate::codec::compress::{self, Compression};
use crate::oci::{ImageGraph, Writer, graph};

/// Writes the image under a name. Images of the name for other architectures stay.
pub fn write(tree: &Tree, recipe: &Recipe, name: &str, options: &Options, store: &Writer) -> Result<(), String> {
    let tar = pax::plan(tree).map_err(|error| error.to_string())?;
    let packed = compress::compress(&tar, Compression::default(), options.jobs, &store.blobs())
        .map_err(|error| error.to_string())?;
    let mut config = json!({});
    let labels = recipe
        .config
        .as_ref()
        .map(|label| json!({"org.mobyproject.config": label.to_string()}));
    for (key, value) in [
        ("Entrypoint", recipe.entrypoint.as_ref().map(|list| json!(list))),
        ("Cmd", recipe.cmd.as_ref().map(|list| json!(list))),
        ("Env", recipe.env.as_ref().map(|list| json!(list))),
        ("WorkingDir", recipe.workdir.as_ref().map(|text| json!(text))),
        ("Labels", labels),
    ] {
        if let Some(value) = value {
            graph::set(&mut config, key, value);
        }
    }
    let image = ImageGraph::from_layer(&tar, packed, &config, options.arch);
    let mut image = image.map_err(|error| error.to_string())?;

    let mut manifests = vec![image.top.clone()];
    for entry in store.named(name).map_err(|error| error.to_string())? {
        let digest = entry.get("digest").and_then(Value::as_str);
        let old = digest.map(|digest| store.json(digest)).transpose();
        let old = old.map_err(|error| error.to_string())?.flatten();
        let kept = old.and_then(|old| old.get("manifests")?.as_array().cloned());
        let other = |entry: &Value| {
            entry.pointer("/platform/architecture").and_then(Value::as_str) != Some(options.arch.name())
        };
        manifests.extend(kept.into_iter().flatten().filter(other));
    }
    manifests.sort_by_key(|entry| entry.pointer("/platform/architecture").map(Value::to_string));
    let index = json!({"schemaVersion": 2, "mediaType": graph::INDEX, "manifests": manifests});
    let index = image
        .add_json(&index, graph::INDEX)
        .map_err(|error| error.to_string())?;
    store.write(&image).map_err(|error| error.to_string())?;
    store.name(name, index).map_err(|error| error.to_string())
}
