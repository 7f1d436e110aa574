//! OCI layouts and layers written byte by byte, so that anything can be wrong with them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

/// A member of a tar: type, name, target of a link, content.
pub type Member<'a> = (u8, &'a str, &'a str, &'a [u8]);

/// A tar with whatever names; devices are 1:3.
pub fn tar(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, target, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(if *kind == b'5' { 0o755 } else { 0o644 });
        for (field, text) in [(0, name), (157, target)] {
            assert!(text.len() <= 100);
            header.as_mut_bytes()[field..field + text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Pipes bytes through a program.
pub fn through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// A layer as it is stored, with the digest of its tar.
pub struct Layer {
    pub stored: Vec<u8>,
    pub media_type: &'static str,
    pub diff_id: String,
}

impl Layer {
    pub fn plain(tar: &[u8]) -> Layer {
        Layer {
            stored: tar.to_vec(),
            media_type: PLAIN,
            diff_id: digest(tar),
        }
    }

    pub fn gzip(tar: &[u8]) -> Layer {
        Layer {
            stored: through("gzip", &["-n"], tar),
            media_type: GZIP,
            ..Layer::plain(tar)
        }
    }

    pub fn zstd(tar: &[u8]) -> Layer {
        Layer {
            stored: through("zstd", &["-q"], tar),
            media_type: ZSTD,
            ..Layer::plain(tar)
        }
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

pub struct Layout {
    directory: PathBuf,
    named: Vec<Value>,
}

impl Layout {
    pub fn new(directory: &Path) -> Layout {
        fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Layout {
            directory: directory.to_owned(),
            named: Vec::new(),
        }
    }

    /// Stores a blob and returns its descriptor.
    pub fn blob(&self, bytes: &[u8], media_type: &str) -> Value {
        let digest = digest(bytes);
        let path = self.directory.join("blobs").join(digest.replace(':', "/"));
        fs::write(path, bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn json(&self, value: &Value) -> Value {
        self.blob(value.to_string().as_bytes(), value["mediaType"].as_str().unwrap())
    }

    /// The manifest of an image, with its platform in the descriptor.
    pub fn manifest(&self, arch: &str, layers: &[Layer]) -> Value {
        self.manifest_with(arch, &json!({"Entrypoint": ["/a"]}), layers)
    }

    /// The manifest of an image whose containers have a configuration.
    pub fn manifest_with(&self, arch: &str, config: &Value, layers: &[Layer]) -> Value {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({"architecture": arch, "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.blob(
            config.to_string().as_bytes(),
            "application/vnd.oci.image.config.v1+json",
        );
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| self.blob(&layer.stored, layer.media_type))
            .collect();
        let mut descriptor = self.json(&json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers}));
        descriptor["platform"] = json!({"os": "linux", "architecture": arch});
        descriptor
    }

    /// BuildKit's manifest of an SPDX document about an image.
    pub fn attestation(&self, image: &Value, document: &Value) -> Value {
        let statement = json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate": document});
        let layer = self.blob(statement.to_string().as_bytes(), "application/vnd.in-toto+json");
        let config = self.blob(b"{}", "application/vnd.oci.image.config.v1+json");
        let mut descriptor = self.json(&json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}));
        descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        descriptor["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]});
        descriptor
    }

    pub fn index(&self, manifests: &[Value]) -> Value {
        self.json(&json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}))
    }

    /// Removes all entries of `index.json`; blobs stay.
    pub fn clear(&mut self) {
        self.named.clear();
    }

    /// Reads `index.json`, which another program has changed.
    pub fn reload(&mut self) {
        let index = fs::read(self.directory.join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        self.named = index["manifests"].as_array().unwrap().clone();
    }

    /// Gives a descriptor a name in `index.json`.
    pub fn name(&mut self, name: &str, descriptor: Value) {
        self.annotate(json!({"org.opencontainers.image.ref.name": name}), descriptor);
    }

    /// Puts a descriptor with annotations into `index.json`.
    pub fn annotate(&mut self, annotations: Value, mut descriptor: Value) {
        descriptor["annotations"] = annotations;
        self.named.push(descriptor);
        let index = json!({"schemaVersion": 2, "manifests": self.named});
        fs::write(self.directory.join("index.json"), index.to_string()).unwrap();
    }
}
