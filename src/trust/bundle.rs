//! Sigstore bundles (sigstore/protobuf-specs, sigstore_bundle.proto), with DSSE envelopes (secure-systems-lab/dsse,
//! protocol.md) or signatures of files.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Deserializer};

use super::Malformed;

/// Media type of a bundle, version 0.3.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Media types of the versions that are read.
const MEDIA_TYPES: [&str; 4] = [
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
];

/// Returns true for the media type of a bundle.
pub fn is_bundle(media_type: &str) -> bool {
    MEDIA_TYPES.contains(&media_type)
}

/// Returns the annotations of a manifest with a bundle of a statement, as cosign writes them.
#[cfg(any(feature = "registry", feature = "sign"))]
pub fn annotations(predicate_type: &str) -> [(&'static str, &str); 2] {
    [
        ("dev.sigstore.bundle.content", "dsse-envelope"),
        ("dev.sigstore.bundle.predicateType", predicate_type),
    ]
}

/// Signature with the material for its verification.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    media_type: String,
    /// Key or certificate, and entries of logs.
    pub verification_material: Material,
    /// Signed statement.
    pub dsse_envelope: Option<Envelope>,
    /// Signature of a file.
    pub message_signature: Option<MessageSignature>,
}

/// Material for the verification of a signature.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Material {
    /// Reference to a public key, which the verifier must have.
    pub public_key: Option<KeyHint>,
    /// Certificate of the signer.
    pub certificate: Option<Certificate>,
    /// Certificates of the signer and of authorities, before version 0.3.
    pub x509_certificate_chain: Option<Chain>,
    /// Entries of transparency logs.
    #[serde(default)]
    pub tlog_entries: Vec<LogEntry>,
    /// Timestamps.
    #[serde(default)]
    pub timestamp_verification_data: Timestamps,
}

/// Reference to a public key.
#[derive(Clone, Debug, Deserialize)]
pub struct KeyHint {
    /// Text that helps to find the key. cosign writes [`super::Fingerprint::hint`].
    #[serde(default)]
    pub hint: String,
}

/// X.509 certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// DER.
    pub raw_bytes: Bytes,
}

/// Chain of certificates, the signer's first.
#[derive(Clone, Debug, Deserialize)]
pub struct Chain {
    /// Certificates.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
}

/// Entry of a transparency log.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Index in the log, over all of its shards.
    #[serde(default, deserialize_with = "integer")]
    pub log_index: i64,
    /// Identifier of the log.
    pub log_id: LogId,
    /// Kind of the entry.
    pub kind_version: Option<KindVersion>,
    /// Time at which the log took the entry, in seconds since 1970; 0 if it states none.
    #[serde(default, deserialize_with = "integer")]
    pub integrated_time: i64,
    /// Signed promise to include the entry.
    pub inclusion_promise: Option<InclusionPromise>,
    /// Proof that the entry is in the log.
    pub inclusion_proof: Option<InclusionProof>,
    /// Entry as the log hashes it.
    #[serde(default)]
    pub canonicalized_body: Bytes,
}

/// Identifier of a log.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogId {
    /// SHA-256 of the log's public key, for logs of the first version.
    pub key_id: Bytes,
}

/// Kind of a log entry.
#[derive(Clone, Debug, Deserialize)]
pub struct KindVersion {
    /// `hashedrekord`, `dsse` or `intoto`.
    pub kind: String,
    /// `0.0.1` or `0.0.2`.
    pub version: String,
}

/// Promise of a log to include an entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionPromise {
    /// Signature of the log.
    pub signed_entry_timestamp: Bytes,
}

/// Proof that an entry is in a log (RFC 6962, section 2.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionProof {
    /// Index of the entry in the tree.
    #[serde(default, deserialize_with = "integer")]
    pub log_index: i64,
    /// Hash of the tree.
    pub root_hash: Bytes,
    /// Number of entries.
    #[serde(deserialize_with = "integer")]
    pub tree_size: i64,
    /// Hashes from the entry to the root.
    #[serde(default)]
    pub hashes: Vec<Bytes>,
    /// Signed hash of the tree.
    pub checkpoint: Option<Checkpoint>,
}

/// Signed hash of a log's tree (transparency-dev/formats, log/README.md).
#[derive(Clone, Debug, Deserialize)]
pub struct Checkpoint {
    /// Signed note.
    pub envelope: String,
}

/// Timestamps of a bundle.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Timestamps {
    /// Responses of timestamp authorities (RFC 3161).
    #[serde(default, rename = "rfc3161Timestamps")]
    pub rfc3161: Vec<Timestamp>,
}

/// Response of a timestamp authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timestamp {
    /// TimeStampResp in DER.
    pub signed_timestamp: Bytes,
}

/// DSSE envelope.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Signed bytes.
    pub payload: Bytes,
    /// Media type of the payload.
    pub payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, Debug, Deserialize)]
struct EnvelopeSignature {
    sig: Bytes,
}

/// Signature of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageSignature {
    /// Digest of the file, a hint.
    pub message_digest: Option<MessageDigest>,
    /// Signature.
    pub signature: Bytes,
}

/// Digest of a file.
#[derive(Clone, Debug, Deserialize)]
pub struct MessageDigest {
    /// `SHA2_256`, for one.
    pub algorithm: String,
    /// Digest.
    pub digest: Bytes,
}

/// Bytes, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        let bytes = BASE64_STANDARD.decode(text.as_bytes());
        bytes.map(Bytes).map_err(serde::de::Error::custom)
    }
}

/// Parses an integer, or a string with one, as the JSON of protobuf has 64-bit numbers.
fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Integer(i64),
        Text(String),
    }
    match Number::deserialize(from)? {
        Number::Integer(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// Log entry as cosign's old form has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OldEntry {
    signed_entry_timestamp: Bytes,
    payload: OldPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldPayload {
    body: Bytes,
    integrated_time: i64,
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// Parses a log entry of cosign's old form.
///
/// # Errors
/// Invalid JSON, or a missing field.
pub fn parse_entry(text: &str) -> Result<LogEntry, Malformed> {
    let OldEntry {
        signed_entry_timestamp,
        payload,
    } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let id: Option<Vec<u8>> = payload.log_id.as_bytes().chunks(2).map(byte).collect();
    Ok(LogEntry {
        log_index: payload.log_index,
        log_id: LogId {
            key_id: Bytes(id.ok_or("its log ID is not hexadecimal")?),
        },
        kind_version: None,
        integrated_time: payload.integrated_time,
        inclusion_promise: Some(InclusionPromise { signed_entry_timestamp }),
        inclusion_proof: None,
        canonicalized_body: payload.body,
    })
}

/// Parses a bundle.
///
/// # Errors
/// Invalid JSON, missing fields, an unknown version, and a bundle without exactly one signature.
pub fn parse(bytes: &[u8]) -> Result<Bundle, Malformed> {
    let bundle: Bundle = serde_json::from_slice(bytes)?;
    if !is_bundle(&bundle.media_type) {
        return Err(format!("its media type {:?} is unknown", bundle.media_type).into());
    }
    if bundle.dsse_envelope.is_some() == bundle.message_signature.is_some() {
        return Err("it needs either a dsseEnvelope or a messageSignature".to_owned().into());
    }
    if let Some(envelope) = &bundle.dsse_envelope
        && envelope.signatures.len() != 1
    {
        return Err(format!("its envelope has {} signatures, not 1", envelope.signatures.len()).into());
    }
    Ok(bundle)
}

impl Bundle {
    /// Returns the certificate of the signer, in DER; none if the bundle refers to a key.
    pub fn certificate(&self) -> Option<&[u8]> {
        let Material {
            certificate,
            x509_certificate_chain: chain,
            ..
        } = &self.verification_material;
        let first = || chain.as_ref()?.certificates.first();
        Some(&certificate.as_ref().or_else(first)?.raw_bytes.0)
    }

    /// Returns the responses of timestamp authorities, in DER.
    pub fn timestamps(&self) -> Vec<&[u8]> {
        let timestamps = &self.verification_material.timestamp_verification_data.rfc3161;
        timestamps
            .iter()
            .map(|timestamp| timestamp.signed_timestamp.0.as_slice())
            .collect()
    }

    /// Returns true if log entries need a proof of inclusion: since version 0.2.
    pub fn needs_proof(&self) -> bool {
        !self.media_type.ends_with("version=0.1")
    }
}

impl Envelope {
    /// Returns the signature.
    pub fn signature(&self) -> &[u8] {
        self.signatures.first().map_or(&[], |signature| &signature.sig.0)
    }

    /// Returns the bytes that are signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload.0)
    }
}

/// Encodes a payload for its signature (DSSE protocol, "Signature Definition").
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Composes the bundle of a statement that a key has signed.
#[cfg(feature = "sign")]
pub fn of_statement(hint: &str, payload_type: &str, payload: &[u8], signature: &[u8]) -> Vec<u8> {
    let envelope = serde_json::json!({
        "payload": BASE64_STANDARD.encode(payload),
        "payloadType": payload_type,
        "signatures": [{"sig": BASE64_STANDARD.encode(signature)}],
    });
    compose(hint, "dsseEnvelope", envelope)
}

/// Composes the bundle of a file that a key has signed. `digest` is the SHA-256 of the file.
#[cfg(feature = "sign")]
pub fn of_file(hint: &str, digest: &[u8], signature: &[u8]) -> Vec<u8> {
    let message = serde_json::json!({
        "messageDigest": {"algorithm": "SHA2_256", "digest": BASE64_STANDARD.encode(digest)},
        "signature": BASE64_STANDARD.encode(signature),
    });
    compose(hint, "messageSignature", message)
}

#[cfg(feature = "sign")]
fn compose(hint: &str, key: &str, content: serde_json::Value) -> Vec<u8> {
    let bundle = serde_json::json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}},
        key: content,
    });
    bundle.to_string().into_bytes()
}
