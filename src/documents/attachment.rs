//! Documents that are attached to an image in a registry, as manifests with the image as their subject.
//!
//! | document | artifact type |
//! | --- | --- |
//! | SPDX | `application/spdx+json` |
//! | CycloneDX | `application/vnd.cyclonedx+json` |
//! | in-toto statement | `application/vnd.in-toto+json` |
//! | Sigstore bundle with a statement | `application/vnd.dev.sigstore.bundle.v0.3+json` |

use extents::Extents;
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::oci::{ImageGraph, Referrers, referrers};
use crate::trust::bundle::{self, Bundle};
use crate::trust::statement::{self, Statement};

const SPDX: &str = "application/spdx+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// Annotation of a document with its file name (OCI Image Specification, "Pre-Defined Annotation Keys").
const TITLE: &str = "org.opencontainers.image.title";
/// Annotation of a statement with its type, as BuildKit writes it.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// Kind of a document.
enum Kind {
    Sbom(&'static str),
    Statement(Statement),
    Bundle(Statement),
}

/// Builds the manifest that attaches a document to an image, or to the manifest of it that a statement is
/// about. Returns it with the digest of its subject. `file` is the name of the document.
///
/// # Errors
/// A document of another kind, and a statement about something else.
pub fn attach(file: &str, bytes: Vec<u8>, image: &ImageGraph) -> Result<(String, Referrers), Diagnostic> {
    let kind = kind(file, &bytes)?;
    let (media_type, subject, annotations) = match &kind {
        Kind::Sbom(media_type) => (*media_type, image.top.clone(), Vec::new()),
        Kind::Statement(statement) => (
            statement::PAYLOAD_TYPE,
            subject(file, statement, image)?,
            vec![(PREDICATE_TYPE, statement.predicate_type.as_str())],
        ),
        Kind::Bundle(statement) => (
            bundle::MEDIA_TYPE,
            subject(file, statement, image)?,
            bundle::annotations(&statement.predicate_type).to_vec(),
        ),
    };
    let content = Extents::from_bytes(bytes);
    let manifest = referrers::artifact(content, media_type, &[(TITLE, file)], &annotations, &subject);
    let manifest = manifest.map_err(|error| Diagnostic::error(format!("cannot attach {file}: {error}")))?;
    let digest = subject.get("digest").and_then(Value::as_str).unwrap_or_default();
    let referrers = Referrers {
        manifests: vec![manifest],
        ..Referrers::default()
    };
    Ok((digest.to_owned(), referrers))
}

fn kind(file: &str, bytes: &[u8]) -> Result<Kind, Diagnostic> {
    let unknown = |reason: String| {
        Diagnostic::error(format!("cannot attach {file}: {reason}")).help(
            "attach an SBOM in SPDX or CycloneDX, an in-toto statement, or a Sigstore bundle with one, all in JSON",
        )
    };
    let document: Value = serde_json::from_slice(bytes).map_err(|error| unknown(format!("it is not JSON: {error}")))?;
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("spdxVersion").starts_with("SPDX-") {
        return Ok(Kind::Sbom(SPDX));
    }
    if text("bomFormat") == "CycloneDX" {
        return Ok(Kind::Sbom(CYCLONEDX));
    }
    let parse = |bytes: &[u8]| statement::parse(bytes).map_err(|error| unknown(format!("its statement: {error}")));
    if text("_type").starts_with("https://in-toto.io/Statement/") {
        return parse(bytes).map(Kind::Statement);
    }
    if text("mediaType").starts_with("application/vnd.dev.sigstore.bundle") {
        let parsed = bundle::parse(bytes).map_err(|error| unknown(error.to_string()))?;
        return match parsed {
            Bundle {
                dsse_envelope: Some(envelope),
                ..
            } if envelope.payload_type == statement::PAYLOAD_TYPE => parse(&envelope.payload.0).map(Kind::Bundle),
            _ => Err(unknown("the bundle has no in-toto statement".into())),
        };
    }
    Err(unknown("it is of an unknown kind".into()))
}

/// Returns the descriptor of the manifest or index that a statement is about.
fn subject(file: &str, statement: &Statement, image: &ImageGraph) -> Result<Value, Diagnostic> {
    let about: Vec<String> = statement
        .subject
        .iter()
        .filter_map(|subject| subject.digest())
        .collect();
    let is_subject = |descriptor: &Value| {
        let digest = descriptor.get("digest").and_then(Value::as_str);
        digest.is_some_and(|digest| about.iter().any(|about| about == digest))
    };
    let mut descriptors = [image.top.clone()].into_iter().chain(image.listed());
    descriptors.find(is_subject).ok_or_else(|| {
        let subjects = statement.subject.iter().map(|subject| {
            let digest = subject.digest().unwrap_or_else(|| "no SHA-256".into());
            format!("{} ({digest})", subject.name)
        });
        let about = subjects.take(3).collect::<Vec<_>>().join(", ");
        let message = format!(
            "cannot attach {file}: it is about {about}, not about {}",
            image.digest()
        );
        Diagnostic::error(message).help(
            "attach it to the image that it names; `moby build -f oci --provenance` names the image in the archive",
        )
    })
}
