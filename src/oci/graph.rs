//! An image with all its blobs, as it is copied between layouts and put into archives.

use std::collections::BTreeSet;
use std::io;

use extents::Extents;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tree::{Kind, Meta, Time, Tree};

use super::blob::MAX_JSON;
use super::digests::platform_name;
use super::layout::{REF_NAME, is_index};
use super::{Error, Layout};
use crate::arch::Arch;

/// Media type of an image index (OCI Image Specification, "Media Types").
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of a configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of an uncompressed layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Media type of a layer compressed with gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of a layer compressed with zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Blob with its digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Digest: `sha256:` and hexadecimal digits.
    pub digest: String,
    /// Content.
    pub content: Extents,
}

/// Blobs of an image, each before the blobs that refer to it, and the descriptor of the last.
#[derive(Clone, Debug, Default)]
pub struct ImageGraph {
    /// Blobs, without duplicates.
    pub blobs: Vec<Blob>,
    /// Descriptor of the manifest or index, without a name.
    pub top: Value,
}

impl ImageGraph {
    /// Adds a blob, and returns its descriptor.
    ///
    /// # Errors
    /// Read errors.
    pub fn add(&mut self, content: Extents, media_type: &str) -> io::Result<Value> {
        let (digest, size) = (digest_of(&content)?, content.len());
        self.push(Blob {
            digest: digest.clone(),
            content,
        });
        Ok(json!({"mediaType": media_type, "digest": digest, "size": size}))
    }

    /// Adds a blob of JSON, and returns its descriptor.
    ///
    /// # Errors
    /// Read errors.
    pub fn add_json(&mut self, value: &Value, media_type: &str) -> io::Result<Value> {
        self.add(Extents::from_bytes(value.to_string().into_bytes()), media_type)
    }

    /// Returns the digest of the manifest or index.
    pub fn digest(&self) -> &str {
        self.top.get("digest").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the layers of a manifest, each with its media type; none of an index.
    pub fn layers(&self) -> Vec<(String, Extents)> {
        let find = |digest: &str| self.blobs.iter().find(|blob| blob.digest == digest);
        let top = find(self.digest()).filter(|blob| blob.content.len() <= MAX_JSON);
        let bytes = top.and_then(|blob| blob.content.to_vec().ok()).unwrap_or_default();
        let Ok(manifest) = serde_json::from_slice::<ImageManifest>(&bytes) else {
            return Vec::new();
        };
        let layers = manifest.layers().iter();
        let layers = layers.filter_map(|layer| {
            let blob = find(layer.digest().as_ref())?;
            Some((layer.media_type().to_string(), blob.content.clone()))
        });
        layers.collect()
    }

    /// Adds the blobs of another image.
    pub fn extend(&mut self, other: &ImageGraph) {
        for blob in &other.blobs {
            self.push(blob.clone());
        }
    }

    fn push(&mut self, blob: Blob) {
        if !self.blobs.iter().any(|known| known.digest == blob.digest) {
            self.blobs.push(blob);
        }
    }

    /// Builds an image of one layer from its tar and the bytes to store, compressed or not. `config`
    /// becomes the field `config` of the configuration.
    ///
    /// # Errors
    /// Read errors.
    pub fn from_layer(tar: &Extents, stored: Extents, config: &Value, arch: Arch) -> io::Result<ImageGraph> {
        let mut graph = ImageGraph::default();
        let layer_type = layer_type(&stored)?;
        let layer = graph.add(stored, layer_type)?;
        let config = json!({
            "architecture": arch.name(), "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)?]},
        });
        let config = graph.add_json(&config, CONFIG)?;
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        graph.top = graph.add_json(&manifest, MANIFEST)?;
        set(
            &mut graph.top,
            "platform",
            json!({"os": "linux", "architecture": arch.name()}),
        );
        Ok(graph)
    }

    /// Lists the platforms whose manifests are in this layout, as `linux/amd64`.
    pub fn platforms(&self) -> Vec<String> {
        let is_here = |digest: &str| self.blobs.iter().any(|blob| blob.digest == digest);
        let mut platforms = BTreeSet::new();
        for blob in self.blobs.iter().filter(|blob| blob.content.len() <= MAX_JSON) {
            let Ok(bytes) = blob.content.to_vec() else { continue };
            if let Ok(index) = serde_json::from_slice::<ImageIndex>(&bytes) {
                let here = index
                    .manifests()
                    .iter()
                    .filter(|listed| is_here(listed.digest().as_ref()));
                platforms.extend(here.filter_map(platform_name));
            }
        }
        if platforms.is_empty() {
            let config = self
                .json(self.top.get("digest"))
                .and_then(|manifest| self.json(manifest.pointer("/config/digest")));
            let text = |key: &str| Some(config.as_ref()?.get(key)?.as_str()?.to_owned());
            platforms.extend(
                text("os")
                    .zip(text("architecture"))
                    .map(|(os, arch)| format!("{os}/{arch}")),
            );
        }
        platforms.into_iter().collect()
    }

    /// Lists the descriptors in the indexes of the image.
    pub fn listed(&self) -> Vec<Value> {
        let small = self.blobs.iter().filter(|blob| blob.content.len() <= MAX_JSON);
        let parsed = small.filter_map(|blob| serde_json::from_slice::<Value>(&blob.content.to_vec().ok()?).ok());
        let lists = parsed.filter_map(|value| value.get("manifests").and_then(Value::as_array).cloned());
        lists.flatten().collect()
    }

    /// Reads a blob of JSON by its digest.
    fn json(&self, digest: Option<&Value>) -> Option<Value> {
        let digest = digest?.as_str()?;
        let blob = self.blobs.iter().find(|blob| blob.digest == digest)?;
        if blob.content.len() > MAX_JSON {
            return None;
        }
        serde_json::from_slice(&blob.content.to_vec().ok()?).ok()
    }

    /// Builds the files of an OCI layout with this image only (OCI Image Layout Specification).
    pub fn layout(&self, name: &str, time: Time) -> Tree {
        layout(&[(name.to_owned(), self.clone())], time)
    }
}

/// Builds the files of an OCI layout with images under their names.
pub fn layout(images: &[(String, ImageGraph)], time: Time) -> Tree {
    let (file, dir) = (Meta::new(0o644, time), Meta::new(0o755, time));
    let mut tree = Tree::new(dir.clone());
    let mut put = |path: &str, kind: Kind| {
        let meta = if kind.is_directory() { &dir } else { &file };
        // A name of hexadecimal digits is always valid.
        let _ = tree.insert(path.as_bytes(), meta.clone(), kind, &dir);
    };
    let text = |text: String| Kind::File(Extents::from_bytes(text.into_bytes()));
    // White space and order as in LinuxKit, so that a volume has the same bytes.
    let tops = images.iter().map(|(name, image)| {
        let mut top = Map::new();
        for key in ["mediaType", "size", "digest", "annotations", "platform"] {
            let value = match key {
                "annotations" => Some(json!({ REF_NAME: name })),
                key => image.top.get(key).cloned(),
            };
            top.extend(value.map(|value| (key.to_owned(), value)));
        }
        top
    });
    let tops: Vec<Map<String, Value>> = tops.collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": tops});
    put(
        "oci-layout",
        text("{\n\t\t\"imageLayoutVersion\": \"1.0.0\"\n\t}".into()),
    );
    put("blobs/sha256", Kind::directory());
    for blob in images.iter().flat_map(|(_, image)| &image.blobs) {
        put(&blob_path(&blob.digest), Kind::File(blob.content.clone()));
    }
    // Serializing to memory cannot fail: all keys are strings and all numbers finite.
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"   ");
    let _ = index.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    put("index.json", Kind::File(Extents::from_bytes(bytes)));
    tree
}

/// Returns the media type of a layer, from its first bytes.
fn layer_type(stored: &Extents) -> io::Result<&'static str> {
    Ok(match stored.part(0, 4).to_vec()?.as_slice() {
        [0x1f, 0x8b, ..] => LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => LAYER_ZSTD,
        _ => LAYER,
    })
}

/// Returns the path of a blob in a layout.
pub(crate) fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// Sets a field of an object.
pub(crate) fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.into(), value);
    }
}

/// Computes the digest of a content: `sha256:` and hexadecimal digits.
pub(crate) fn digest_of(content: &Extents) -> io::Result<String> {
    let mut hash = Sha256::new();
    extents::emit::chunks(content, |chunk| {
        hash.update(chunk);
        Ok(())
    })?;
    Ok(super::digest(hash))
}

impl Layout {
    /// Reads an image with all its blobs, verified; `None` if the layout has no image of the name.
    /// From an index, takes the manifests for which `wanted` returns true, and leaves out those for
    /// which it returns none and that are not here: a cache often has one platform only.
    ///
    /// # Errors
    /// A blob that is missing or corrupt, and an index without a wanted manifest.
    pub fn graph(&self, name: &str, wanted: &dyn Fn(&Descriptor) -> Option<bool>) -> Result<Option<ImageGraph>, Error> {
        if let Some(graph) = self.saved_graph(name)? {
            return Ok(Some(graph));
        }
        let found = self.find(name);
        found.map(|found| self.graph_of(name, found, wanted)).transpose()
    }

    /// Reads the image of a descriptor; `name` is for messages.
    ///
    /// # Errors
    /// A blob that is missing or corrupt, and an index without a wanted manifest.
    pub fn graph_of(
        &self,
        name: &str,
        descriptor: &Descriptor,
        wanted: &dyn Fn(&Descriptor) -> Option<bool>,
    ) -> Result<ImageGraph, Error> {
        let mut graph = ImageGraph {
            top: json!({
                "mediaType": descriptor.media_type(),
                "digest": descriptor.digest(),
                "size": descriptor.size(),
            }),
            ..ImageGraph::default()
        };
        if !is_index(descriptor.media_type()) {
            self.take_manifest(name, descriptor, &mut graph)?;
            return Ok(graph);
        }
        let listed = self.below(name, descriptor)?;
        let (indexes, manifests): (Vec<_>, Vec<_>) = listed.iter().partition(|listed| is_index(listed.media_type()));
        let (mut taken, mut there) = (false, BTreeSet::new());
        for manifest in manifests {
            if let Some(platform) = manifest.platform() {
                there.insert(format!("{}/{}", platform.os(), platform.architecture()));
            }
            // A cache need not have every platform.
            if wanted(manifest).unwrap_or_else(|| self.has_blob(manifest)) {
                self.take_manifest(name, manifest, &mut graph)?;
                taken = true;
            }
        }
        if !taken {
            let (name, wanted) = (name.to_owned(), "the selected platforms".to_owned());
            return Err(if there.is_empty() {
                let found = "none of its manifests is here".into();
                Error::EmptyIndex {
                    name,
                    wanted,
                    found,
                    arch: None,
                }
            } else {
                let found = there.into_iter().collect();
                Error::Architecture { name, wanted, found }
            });
        }
        // Nested indexes come before those that list them.
        for index in indexes.into_iter().rev().filter(|index| self.has_blob(index)) {
            self.take(name, index, &mut graph)?;
        }
        self.take(name, descriptor, &mut graph)?;
        Ok(graph)
    }

    fn take_manifest(&self, name: &str, descriptor: &Descriptor, graph: &mut ImageGraph) -> Result<(), Error> {
        let manifest: ImageManifest = self.json(name, descriptor, "an image manifest")?;
        self.take(name, manifest.config(), graph)?;
        for layer in manifest.layers() {
            self.take(name, layer, graph)?;
        }
        self.take(name, descriptor, graph)
    }

    fn take(&self, name: &str, descriptor: &Descriptor, graph: &mut ImageGraph) -> Result<(), Error> {
        let slice = self.blob(name, descriptor)?;
        graph.push(Blob {
            digest: descriptor.digest().to_string(),
            content: Extents::from_slice(slice),
        });
        Ok(())
    }

    /// Reads an image of a `docker save` archive, and adds the manifest that it lacks.
    fn saved_graph(&self, name: &str) -> Result<Option<ImageGraph>, Error> {
        let Some((config, layers)) = self.saved_parts(name)? else {
            return Ok(None);
        };
        let mut graph = ImageGraph::default();
        let built = (|| {
            let config = graph.add(config, CONFIG)?;
            let mut listed = Vec::new();
            for layer in layers {
                let layer_type = layer_type(&layer)?;
                listed.push(graph.add(layer, layer_type)?);
            }
            let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": listed});
            graph.top = graph.add_json(&manifest, MANIFEST)?;
            Ok(())
        })();
        built.map_err(|source| Error::Open {
            path: self.path().to_owned(),
            source,
        })?;
        Ok(Some(graph))
    }
}
