//! A tree as an OCI image of one layer in a layout that LinuxKit, skopeo and umoci may share.

use std::io::Write;
use std::path::Path;

use extents::Extents;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tree::Tree;

use super::Options;
use super::recipe::Recipe;
use crate::output::compress::{self, Compression};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Writes the image under a name. Images of the name for other architectures stay.
pub fn write(tree: &Tree, recipe: &Recipe, name: &str, options: &Options) -> Result<(), String> {
    let blobs = options.store.join("blobs/sha256");
    let made = std::fs::create_dir_all(&blobs);
    made.map_err(|error| format!("cannot make {}: {error}", blobs.display()))?;
    let tar = pax::plan(tree).map_err(|error| error.to_string())?;
    let diff_id = digest_of(&tar)?;
    let packed =
        compress::compress(&tar, Compression::default(), options.jobs, &blobs).map_err(|error| error.to_string())?;
    let layer = blob(&blobs, &packed, LAYER, options.jobs)?;

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
        if let (Some(value), Value::Object(config)) = (value, &mut config) {
            config.insert(key.into(), value);
        }
    }
    let config = json!({
        "architecture": options.arch, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let config = json_blob(&blobs, &config, CONFIG)?;
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let mut manifest = json_blob(&blobs, &manifest, MANIFEST)?;
    set(
        &mut manifest,
        "platform",
        json!({"os": "linux", "architecture": options.arch}),
    );

    let layout = options.store.join("oci-layout");
    if !layout.exists() {
        replace(&layout, &json!({"imageLayoutVersion": "1.0.0"}))?;
    }
    let path = options.store.join("index.json");
    let mut top = read(&path).unwrap_or_else(|| json!({"schemaVersion": 2, "manifests": []}));
    let listed = top
        .get("manifests")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let (ours, mut others): (Vec<Value>, Vec<Value>) = listed
        .into_iter()
        .partition(|entry| entry.pointer("/annotations").and_then(|map| map.get(REF_NAME)) == Some(&json!(name)));
    let mut manifests = vec![manifest];
    for entry in &ours {
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
        let old = read(&blobs.join(digest.trim_start_matches("sha256:"))).unwrap_or_default();
        let kept = old
            .get("manifests")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        manifests.extend(
            kept.into_iter()
                .filter(|entry| entry.pointer("/platform/architecture") != Some(&json!(options.arch))),
        );
    }
    manifests.sort_by_key(|entry| entry.pointer("/platform/architecture").map(Value::to_string));
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let mut index = json_blob(&blobs, &index, INDEX)?;
    set(&mut index, "annotations", json!({REF_NAME: name}));
    others.push(index);
    set(&mut top, "manifests", Value::Array(others));
    replace(&path, &top)
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.into(), value);
    }
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn replace(path: &Path, value: &Value) -> Result<(), String> {
    let bytes = Extents::from_bytes(value.to_string().into_bytes());
    extents::emit::to_path(&bytes, path, 1).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn json_blob(blobs: &Path, value: &Value, media_type: &str) -> Result<Value, String> {
    blob(
        blobs,
        &Extents::from_bytes(value.to_string().into_bytes()),
        media_type,
        1,
    )
}

/// Writes a blob under its digest, and returns its descriptor.
fn blob(blobs: &Path, content: &Extents, media_type: &str, jobs: usize) -> Result<Value, String> {
    let digest = digest_of(content)?;
    let path = blobs.join(digest.trim_start_matches("sha256:"));
    let written = extents::emit::to_path(content, &path, jobs);
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": content.len()}))
}

fn digest_of(content: &Extents) -> Result<String, String> {
    struct Hasher(Sha256);
    impl Write for Hasher {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut hasher = Hasher(Sha256::new());
    extents::emit::stream(content, &mut hasher).map_err(|error| error.to_string())?;
    Ok(crate::store::digest(hasher.0))
}
