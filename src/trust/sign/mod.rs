//! Signatures of images and files, as cosign makes them. The same key and content give the same bytes:
//! ECDSA is deterministic (RFC 6979), and so is Ed25519.

mod encrypted;
mod private_key;

use base64::prelude::{BASE64_STANDARD, Engine};
use extents::Extents;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{bundle, policy, simple_signing, statement};
use crate::oci::referrers::{self, PAYLOAD, Payload};
use crate::oci::{ImageGraph, Referrers};
pub use private_key::{InvalidPrivateKey, PrivateKey};

/// Signature of a file.
#[derive(Clone, Debug)]
pub struct FileSignature {
    /// Signature in base64, as `cosign verify-blob --signature` reads it.
    pub signature: Vec<u8>,
    /// Sigstore bundle, as `cosign verify-blob --bundle` reads it.
    pub bundle: Vec<u8>,
}

/// Signs an image in both forms that cosign reads. `name` is its canonical name; `top` is the descriptor of
/// its manifest or index.
///
/// # Errors
/// Read errors, which bytes in memory do not have.
pub fn image(key: &PrivateKey, name: &str, top: &serde_json::Value) -> std::io::Result<Referrers> {
    let digest = top.get("digest").and_then(|digest| digest.as_str()).unwrap_or_default();
    let repository = policy::repository(name);
    let payload = simple_signing::compose(&simple_signing::Payload {
        digest: digest.to_owned(),
        reference: repository.clone(),
    });
    let content = Extents::from_bytes(payload.as_slice());
    let mut descriptor = ImageGraph::default().add(content.clone(), PAYLOAD)?;
    let signature = BASE64_STANDARD.encode(key.sign(&payload));
    crate::oci::graph::set(
        &mut descriptor,
        "annotations",
        json!({ simple_signing::SIGNATURE: signature }),
    );
    let hex = digest.trim_start_matches("sha256:");
    let bundle = self::statement(key, statement::compose(&repository, hex).to_string().as_bytes());
    Ok(Referrers {
        payloads: vec![Payload { descriptor, content }],
        manifests: vec![referrers::artifact(
            Extents::from_bytes(bundle),
            bundle::MEDIA_TYPE,
            &[],
            &bundle::annotations(statement::SIGNED),
            top,
        )?],
    })
}

/// Signs an in-toto statement, and returns the bundle with both.
pub fn statement(key: &PrivateKey, statement: &[u8]) -> Vec<u8> {
    let encoded = bundle::pre_authentication_encoding(statement::PAYLOAD_TYPE, statement);
    let hint = key.public().fingerprint().hint();
    bundle::of_statement(&hint, statement::PAYLOAD_TYPE, statement, &key.sign(&encoded))
}

/// Signs a file.
pub fn file(key: &PrivateKey, content: &[u8]) -> FileSignature {
    let signature = key.sign(content);
    let hint = key.public().fingerprint().hint();
    FileSignature {
        signature: BASE64_STANDARD.encode(&signature).into_bytes(),
        bundle: bundle::of_file(&hint, &Sha256::digest(content), &signature),
    }
}
