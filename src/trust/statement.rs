//! In-toto statements that say that an image is signed (in-toto/attestation, spec/v1/statement.md).

use serde::Deserialize;

use super::Malformed;

/// Payload type of a DSSE envelope with a statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Predicate type of cosign's signatures of images. Statements of other types, such as provenance or
/// the result of a scan, do not say that the signer approves of the image.
pub const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

/// Statement about images.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    #[serde(rename = "_type")]
    statement_type: String,
    /// Images.
    pub subject: Vec<Subject>,
    /// Type of the statement.
    pub predicate_type: String,
}

/// Image that a statement is about.
#[derive(Clone, Debug, Deserialize)]
pub struct Subject {
    /// Name of the image; cosign leaves it empty.
    #[serde(default)]
    pub name: String,
    digest: Digests,
}

#[derive(Clone, Debug, Deserialize)]
struct Digests {
    sha256: Option<String>,
}

impl Subject {
    /// Returns the digest of the image, if it is SHA-256.
    pub fn digest(&self) -> Option<String> {
        self.digest.sha256.as_ref().map(|hex| format!("sha256:{hex}"))
    }
}

/// Parses a statement.
///
/// # Errors
/// Invalid JSON, or a missing field.
pub fn parse(bytes: &[u8]) -> Result<Statement, Malformed> {
    let statement: Statement = serde_json::from_slice(bytes)?;
    if !TYPES.contains(&statement.statement_type.as_str()) {
        return Err(format!("its type {:?} is unknown", statement.statement_type).into());
    }
    Ok(statement)
}

/// Composes cosign's statement that an image is signed. cosign leaves the name empty; with it, the
/// signature cannot be taken for that of another image.
#[cfg(feature = "sign")]
pub fn compose(name: &str, hex: &str) -> serde_json::Value {
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": hex}}],
        "predicateType": SIGNED,
        "predicate": {},
    })
}
