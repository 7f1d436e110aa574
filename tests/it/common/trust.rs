//! Signed images: keys, policies, and signatures with anything wrong.

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::layout::{Layer, Layout, tar};
use super::site::{Site, good};

pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A file of `testdata/trust`.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/trust").join(name)
}

/// A key of `testdata/trust`, as an argument.
pub fn key(name: &str) -> String {
    file(name).to_str().unwrap().to_owned()
}

/// A site with a layout `images`, in which each name is an index of one image for amd64.
pub fn site(names: &[&str]) -> (Site, Layout) {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("images"));
    for name in names {
        let content = tar(&[(b'0', "file", "", name.as_bytes())]);
        let manifest = layout.manifest("amd64", &[Layer::plain(&content)]);
        let index = layout.index(&[manifest]);
        layout.name(name, index);
    }
    let images: String = names.iter().map(|name| format!("  - {name}\n")).collect();
    site.write("machine.yml", &format!("init:\n{images}"));
    (site, layout)
}

/// Digest of an image in a layout.
pub fn digest(site: &Site, layout: &str, name: &str) -> String {
    entry(site, layout, name)["digest"].as_str().unwrap().to_owned()
}

/// Entry of `index.json` with a name.
pub fn entry(site: &Site, layout: &str, name: &str) -> Value {
    let index = std::fs::read(site.path(layout).join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let mut entries = index["manifests"].as_array().unwrap().iter();
    let found = entries.find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {layout}")).clone()
}

/// Name of the signatures of an image, in one of the two forms: `.sig`, or nothing.
pub fn signatures(site: &Site, layout: &str, name: &str, form: &str) -> String {
    let repository = name.rsplit_once(':').unwrap().0;
    let digest = digest(site, layout, name);
    format!("{repository}:{}{form}", digest.replace(':', "-"))
}

/// Signs an image in the layout `images`.
pub fn sign(site: &Site, name: &str, key_file: &str) {
    let key = key(key_file);
    good(site.moby(&["-q", "sign", name, "--layout", "images", "--key", &key]));
}

/// Signature of bytes, in base64.
pub fn sign_bytes(site: &Site, bytes: &[u8], key_file: &str) -> String {
    std::fs::write(site.path("bytes"), bytes).unwrap();
    good(site.moby(&["-q", "sign", "bytes", "--key", &key(key_file)]));
    std::fs::read_to_string(site.path("bytes.sig")).unwrap()
}

/// Payload of cosign's signature of a digest.
pub fn payload(digest: &str, reference: &str) -> Value {
    json!({
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
}

/// Stores a payload with a signature as the signatures of a digest, and returns the descriptor.
pub fn attach_payload(layout: &mut Layout, name: &str, digest: &str, payload: &[u8], signature: &str) {
    let mut layer = layout.blob(payload, SIMPLE_SIGNING);
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
    let config = layout.blob(b"{}", "application/vnd.oci.image.config.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let manifest = layout.blob(manifest.to_string().as_bytes(), MANIFEST);
    let repository = name.rsplit_once(':').unwrap().0;
    layout.name(&format!("{repository}:{}.sig", digest.replace(':', "-")), manifest);
}

/// Statement about a digest.
pub fn statement(digest: &str, name: &str, predicate_type: &str) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.trim_start_matches("sha256:")}}],
        "predicateType": predicate_type, "predicate": {},
    })
}

/// Bytes that are signed of a statement (DSSE).
pub fn encoding(statement: &Value) -> Vec<u8> {
    let body = statement.to_string();
    format!("DSSEv1 {} {IN_TOTO} {} {body}", IN_TOTO.len(), body.len()).into_bytes()
}

/// Bundle of a statement and its signature.
pub fn bundle(statement: &Value, signature: &str) -> Value {
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(statement.to_string()), "payloadType": IN_TOTO,
            "signatures": [{"sig": signature, "keyid": ""}],
        },
    })
}

/// Stores a bundle in a manifest that refers to a digest, without a name, as oras does.
pub fn attach_bundle(layout: &mut Layout, digest: &str, bundle: &[u8]) {
    let layer = layout.blob(bundle, BUNDLE);
    let config = layout.blob(b"{}", "application/vnd.oci.empty.v1+json");
    let subject = json!({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": 1});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": config, "layers": [layer],
        "subject": subject,
    });
    let manifest = layout.blob(manifest.to_string().as_bytes(), MANIFEST);
    layout.annotate(json!({}), manifest);
}
