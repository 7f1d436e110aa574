//! An image by itself: its blobs, and the descriptor that they hang from. This is what is copied
//! between layouts, put into archives, and made of a tree.

use std::collections::BTreeSet;
use std::io;

use extents::Extents;
use oci_spec::image::{Descriptor, ImageManifest};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tree::{Kind, Meta, Time, Tree};

use super::layout::{REF_NAME, is_index};
use super::{Error, Layout};
use crate::arch::Arch;

/// Media types (OCI Image Specification, "Media Types").
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Of a configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Of a layer that is not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Of a layer compressed by gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Of a layer compressed by zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A blob with its digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// `sha256:` and hexadecimal digits.
    pub digest: String,
    /// Its bytes.
    pub content: Extents,
}

/// An image's blobs, those that others name first, and the descriptor of the last.
#[derive(Clone, Debug, Default)]
pub struct ImageGraph {
    /// The blobs, each once.
    pub blobs: Vec<Blob>,
    /// The descriptor of the manifest or index, without a name.
    pub top: Value,
}

impl ImageGraph {
    /// Adds a blob, and returns its descriptor.
    ///
    /// # Errors
    /// What reading fails with.
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
    /// As [`ImageGraph::add`].
    pub fn add_json(&mut self, value: &Value, media_type: &str) -> io::Result<Value> {
        self.add(Extents::from_bytes(value.to_string().into_bytes()), media_type)
    }

    fn push(&mut self, blob: Blob) {
        if !self.blobs.iter().any(|known| known.digest == blob.digest) {
            self.blobs.push(blob);
        }
    }

    /// An image of one layer: a tar, and the same as it is stored. `config` is what runs in it,
    /// and ends up as the field `config` of the configuration.
    ///
    /// # Errors
    /// What reading fails with.
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

    /// An OCI layout of this image alone (OCI Image Layout Specification), as a tree.
    pub fn layout(&self, name: &str, time: Time) -> Tree {
        let (file, folder) = (Meta::new(0o644, time), Meta::new(0o755, time));
        let mut tree = Tree::new(folder.clone());
        let mut put = |path: &str, kind: Kind| {
            let meta = if kind.is_directory() { &folder } else { &file };
            // Names of digits fit anywhere.
            let _ = tree.insert(path.as_bytes(), meta.clone(), kind, &folder);
        };
        let text = |text: String| Kind::File(Extents::from_bytes(text.into_bytes()));
        // The white space and the order are LinuxKit's, so that a volume has the same bytes.
        let mut top = Map::new();
        for key in ["mediaType", "size", "digest", "annotations", "platform"] {
            let value = match key {
                "annotations" => Some(json!({ REF_NAME: name })),
                key => self.top.get(key).cloned(),
            };
            top.extend(value.map(|value| (key.to_owned(), value)));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]});
        put(
            "oci-layout",
            text("{\n\t\t\"imageLayoutVersion\": \"1.0.0\"\n\t}".into()),
        );
        put("blobs/sha256", Kind::directory());
        for blob in &self.blobs {
            put(&blob_path(&blob.digest), Kind::File(blob.content.clone()));
        }
        // A value in memory has only text keys and finite numbers, so nothing can fail.
        let mut bytes = Vec::new();
        let formatter = PrettyFormatter::with_indent(b"   ");
        let _ = index.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
        put("index.json", Kind::File(Extents::from_bytes(bytes)));
        tree
    }
}

/// The media type of a layer, by how it begins.
fn layer_type(stored: &Extents) -> io::Result<&'static str> {
    Ok(match stored.part(0, 4).to_vec()?.as_slice() {
        [0x1f, 0x8b, ..] => LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => LAYER_ZSTD,
        _ => LAYER,
    })
}

/// Where a blob stands in a layout.
pub(super) fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// Sets a field of an object.
pub(crate) fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.into(), value);
    }
}

/// The digest of a content: `sha256:` and hexadecimal digits.
pub(crate) fn digest_of(content: &Extents) -> io::Result<String> {
    let mut hash = Sha256::new();
    extents::emit::stream(content, &mut hash)?;
    Ok(super::digest(hash))
}

impl Layout {
    /// Reads an image with all its blobs, verified; none when the layout has no image of the name.
    /// Of an index the platforms for which `wanted` holds are taken; others that are not there are
    /// left out, as a cache has often only one.
    ///
    /// # Errors
    /// A blob that is missing or damaged, and an index with nothing that is wanted.
    pub fn graph(&self, name: &str, wanted: &dyn Fn(&Descriptor) -> Option<bool>) -> Result<Option<ImageGraph>, Error> {
        if let Some(graph) = self.saved_graph(name)? {
            return Ok(Some(graph));
        }
        let found = self.find(name);
        found.map(|found| self.graph_of(name, found, wanted)).transpose()
    }

    /// The image of a descriptor; `name` is for messages.
    ///
    /// # Errors
    /// As [`Layout::graph`].
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
            // Without an opinion it is taken when it is there.
            if wanted(manifest).unwrap_or_else(|| self.has_blob(manifest)) {
                self.take_manifest(name, manifest, &mut graph)?;
                taken = true;
            }
        }
        if !taken {
            return Err(Error::Architecture {
                name: name.to_owned(),
                wanted: "what is asked for".into(),
                found: there.into_iter().collect(),
            });
        }
        // Those that others list come first.
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

    /// What `docker save` wrote, with a manifest.
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
