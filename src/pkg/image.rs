//! The OCI image of a package.

use serde_json::{Value, json};
use tree::Tree;

use super::error::cannot;
use super::recipe::Recipe;
use super::{DEBIAN_LABEL, Options};
use crate::codec::compress::{self, Compression};
use crate::diagnostic::Diagnostic;
use crate::oci::{ImageGraph, Writer, graph};

/// Writes the image of `tree` into a layout and names it. `debian` is the label of its Debian packages.
/// Images of this name for other architectures stay in its index.
///
/// # Errors
/// A tree that a tar archive cannot hold, and a layout that cannot be read or written.
pub fn write(
    tree: &Tree,
    recipe: &Recipe,
    name: &str,
    debian: Option<String>,
    options: &Options,
    layout: &Writer,
) -> Result<(), Diagnostic> {
    let tar = pax::plan(tree).map_err(cannot("write the layer"))?;
    let compressed = compress::compress(&tar, Compression::default(), options.jobs, &layout.blobs(), &|_| {});
    let compressed = compressed.map_err(cannot("compress the layer"))?;
    let mut config = json!({});
    let mut labels = json!({});
    if let Some(label) = &recipe.config {
        graph::set(&mut labels, "org.mobyproject.config", json!(label.to_string()));
    }
    if let Some(debian) = debian {
        graph::set(&mut labels, DEBIAN_LABEL, json!(debian));
    }
    let has_labels = labels.as_object().is_some_and(|labels| !labels.is_empty());
    for (key, value) in [
        ("Entrypoint", recipe.entrypoint.as_ref().map(|list| json!(list))),
        ("Cmd", recipe.cmd.as_ref().map(|list| json!(list))),
        ("Env", recipe.env.as_ref().map(|list| json!(list))),
        ("WorkingDir", recipe.workdir.as_ref().map(|text| json!(text))),
        ("Labels", has_labels.then_some(labels)),
    ] {
        if let Some(value) = value {
            graph::set(&mut config, key, value);
        }
    }
    let image = ImageGraph::from_layer(&tar, compressed, &config, options.arch);
    let mut image = image.map_err(cannot("read the layer"))?;

    let mut manifests = vec![image.top.clone()];
    for entry in layout.descriptors_named(name)? {
        let digest = entry.get("digest").and_then(Value::as_str);
        let old = digest.map(|digest| layout.json(digest)).transpose();
        let old = old?.flatten();
        let known = old.and_then(|old| old.get("manifests")?.as_array().cloned());
        let other = |entry: &Value| {
            entry.pointer("/platform/architecture").and_then(Value::as_str) != Some(options.arch.name())
        };
        manifests.extend(known.into_iter().flatten().filter(other));
    }
    manifests.sort_by_key(|entry| entry.pointer("/platform/architecture").map(Value::to_string));
    let index = json!({"schemaVersion": 2, "mediaType": graph::INDEX, "manifests": manifests});
    let index = image.add_json(&index, graph::INDEX);
    let index = index.map_err(cannot("write the index"))?;
    layout.write(&image)?;
    layout.set_name(name, index)?;
    Ok(())
}
