//! Documents about a build, which are written beside its outputs: SBOMs, provenance, sources of files.
//!
//! ```text
//! NAME.spdx.json         SPDX 2.3
//! NAME.cdx.json          CycloneDX 1.6
//! NAME.provenance.json   in-toto statement with SLSA provenance
//! NAME.sources.json      in-toto statement with the source of every file
//! ```

#[cfg(feature = "registry")]
pub mod attachment;
pub mod provenance;
pub mod sources;

use std::collections::BTreeMap;
use std::io;

use extents::Extents;
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::oci::digest_of;
use crate::request::{Document, Request};
use crate::resolve::Resolved;
use crate::sbom::bom::{Bom, ImageBom};
use crate::sbom::{cyclonedx, spdx};
use crate::store::{Image, Store};
use crate::system::System;

/// Type of an in-toto statement (in-toto Attestation Framework, "Statement").
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// Output or document with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Name of the file.
    pub name: String,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

impl Subject {
    /// Encodes the subject as a resource descriptor of in-toto.
    fn to_json(&self) -> Value {
        json!({"name": self.name, "digest": {"sha256": self.sha256}})
    }
}

/// Document to write: the suffix of its name, and its bytes.
pub type Written = (&'static str, Vec<u8>);

/// Builds the documents that a request asks for, except the provenance, which has the digests of the others.
///
/// # Errors
/// Layers and attestations that are damaged.
pub fn build(
    request: &Request,
    resolved: &Resolved,
    system: &System,
    outputs: &[Subject],
) -> Result<Vec<Written>, Diagnostics> {
    let asks = |document: Document| request.documents.contains(&document);
    let mut written = Vec::new();
    if asks(Document::Spdx) || asks(Document::CycloneDx) {
        let bom = bom(request, resolved, system)?;
        if asks(Document::Spdx) {
            written.push((Document::Spdx.suffix(), text(&spdx::document(&bom))));
        }
        if asks(Document::CycloneDx) {
            written.push((Document::CycloneDx.suffix(), text(&cyclonedx::document(&bom))));
        }
    }
    if asks(Document::Provenance) {
        let predicate = sources::predicate(system, resolved);
        let statement = statement(outputs, sources::PREDICATE_TYPE, predicate);
        written.push((sources::SUFFIX, text(&statement)));
    }
    Ok(written)
}

/// Builds a statement about outputs.
fn statement(outputs: &[Subject], predicate_type: &str, predicate: Value) -> Value {
    json!({
        "_type": STATEMENT,
        "subject": outputs.iter().map(Subject::to_json).collect::<Vec<_>>(),
        "predicateType": predicate_type,
        "predicate": predicate,
    })
}

/// Encodes a document for people and programs.
fn text(document: &Value) -> Vec<u8> {
    format!("{document:#}\n").into_bytes()
}

/// Lists the images of a build with their packages.
fn bom(request: &Request, resolved: &Resolved, system: &System) -> Result<Bom, Diagnostics> {
    let mut images: BTreeMap<&str, ImageBom> = BTreeMap::new();
    for image in resolved.images.values() {
        let mut found = image_bom(&resolved.store, image, request)?;
        let is_kernel = crate::config::canonical(&resolved.config.kernel.image) == image.name;
        if let Some(kernel) = system.kernel.as_ref().filter(|_| is_kernel) {
            found.add_kernel(kernel, "boot/kernel");
        }
        images.insert(&image.name, found);
    }
    // Loaders that are missing are not in an output either.
    for image in resolved.boot_loaders.values().flatten() {
        if !images.contains_key(image.name.as_str()) {
            images.insert(&image.name, image_bom(&resolved.store, image, request)?);
        }
    }
    Ok(Bom {
        name: request.name.clone(),
        time: request.sbom.as_ref().map_or(request.time, |sbom| sbom.time),
        images: images.into_values().collect(),
    })
}

fn image_bom(store: &Store, image: &Image, request: &Request) -> Result<ImageBom, Diagnostics> {
    let documents = store.sboms(&image.name, request.arch).map_err(Diagnostic::from)?;
    let files = store.tree(image).map_err(Diagnostic::from)?;
    Ok(ImageBom::new(&image.name, image.digest(), &documents, &files))
}

/// Returns the SHA-256 of a content in hexadecimal digits.
///
/// # Errors
/// Content that cannot be read.
pub fn sha256(content: &Extents) -> io::Result<String> {
    let digest = digest_of(content)?;
    Ok(digest.trim_start_matches("sha256:").to_owned())
}
