//! Simple signing, the payload of cosign's signatures of images (containers/image,
//! docs/containers-signature.5.md).

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Malformed;

/// Media type of a payload.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation of the layer with a payload: the signature of the payload's bytes, in base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Annotation with the certificate of a keyless signature, in PEM.
pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// Annotation with the log entry of a keyless signature.
pub const BUNDLE: &str = "dev.sigstore.cosign/bundle";
/// Value of `critical.type`.
const TYPE: &str = "cosign container image signature";

/// Statement that a signer makes about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Digest of the manifest or index.
    pub digest: String,
    /// Name of the image, often without a tag; may be empty.
    pub reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    critical: Critical,
    #[serde(rename = "optional")]
    _optional: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference", default)]
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Parses a payload. Fields that it does not know are an error, since they may restrict the statement.
///
/// # Errors
/// Invalid JSON, missing fields, or a statement other than the signature of an image.
pub fn parse(bytes: &[u8]) -> Result<Payload, Malformed> {
    let document: Document = serde_json::from_slice(bytes)?;
    if document.critical.r#type != TYPE {
        return Err(format!("its type is {:?}, not {TYPE:?}", document.critical.r#type).into());
    }
    Ok(Payload {
        digest: document.critical.image.digest,
        reference: document.critical.identity.reference,
    })
}

/// Composes the payload that cosign writes.
#[cfg(feature = "sign")]
pub fn compose(payload: &Payload) -> Vec<u8> {
    let value = serde_json::json!({
        "critical": {
            "identity": {"docker-reference": payload.reference},
            "image": {"docker-manifest-digest": payload.digest},
            "type": TYPE,
        },
        "optional": null,
    });
    value.to_string().into_bytes()
}
