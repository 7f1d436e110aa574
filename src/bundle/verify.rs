//! Verification of a bundle: every listed file is intact, and no blob is unlisted.

use std::collections::BTreeSet;

use super::Bundle;
use crate::diagnostic::Diagnostic;
use crate::oci::Error;
use crate::reporter::Reporter;

/// Remedy for a bundle that is not as it was created.
const CREATE_AGAIN: &str = "copy the bundle again, or create it again with `moby bundle create`";

/// Result of a verification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verified {
    /// Number of blobs.
    pub blobs: usize,
    /// Number of other files.
    pub files: usize,
}

/// Reads every blob and file of a bundle, and compares them with its manifest. The layout of the bundle
/// is completed by those that may hold the blobs of its base.
///
/// # Errors
/// Everything that is missing, corrupt or not in the manifest.
pub fn verify(bundle: &Bundle, reporter: &dyn Reporter) -> Result<Verified, Vec<Diagnostic>> {
    let (manifest, layout) = (&bundle.manifest, &bundle.layout);
    let path = layout.path().display();
    let mut errors: Vec<Diagnostic> = Vec::new();
    let mut intact: BTreeSet<String> = BTreeSet::new();
    let listed: BTreeSet<&str> = manifest.blobs.iter().map(|blob| blob.digest.as_str()).collect();
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for (name, descriptor) in layout.descriptors() {
        let name = name.unwrap_or_else(|| descriptor.digest().to_string());
        found.insert(descriptor.digest().as_ref());
        let graph = match layout.graph_of(&name, descriptor, &|_| None) {
            Ok(graph) => graph,
            Err(error) => {
                errors.push(diagnostic(error, manifest.base.is_some()));
                continue;
            }
        };
        match graph.blobs.iter().find(|blob| !listed.contains(blob.digest.as_str())) {
            Some(blob) => {
                let message = format!("{path}: the blob {} of {name} is not in bundle.json", blob.digest);
                errors.push(Diagnostic::error(message).help(CREATE_AGAIN));
            }
            None => reporter.info(&format!("{name}: intact")),
        }
        intact.extend(graph.blobs.into_iter().map(|blob| blob.digest));
    }
    for blob in manifest.blobs.iter().filter(|blob| !intact.contains(&blob.digest)) {
        // An error that an image has already.
        let is_reported = |error: &Diagnostic| error.message.contains(blob.digest.trim_start_matches("sha256:"));
        if let Err(error) = layout.blob_of(&blob.digest, blob.size)
            && !errors.iter().any(is_reported)
        {
            errors.push(diagnostic(error, blob.base));
        }
    }
    let mut files = 0;
    for file in &manifest.files {
        match bundle.content(file) {
            Ok(_) => files += 1,
            Err(error) => errors.push(diagnostic(error, false)),
        }
    }
    for image in manifest
        .images
        .iter()
        .filter(|image| !found.contains(image.digest.as_str()))
    {
        let message = format!("{path}: the image {} is missing", image.name);
        errors.push(Diagnostic::error(message).help(CREATE_AGAIN));
    }
    if errors.is_empty() {
        Ok(Verified {
            blobs: manifest.blobs.len(),
            files,
        })
    } else {
        Err(errors)
    }
}

/// Returns the diagnostic of an error, with remedies for a bundle in place of those for a layout.
fn diagnostic(error: Error, has_base: bool) -> Diagnostic {
    let is_missing = matches!(error, Error::Missing { .. });
    let help = if is_missing && has_base {
        "pass the base bundle with --layout"
    } else {
        CREATE_AGAIN
    };
    Diagnostic {
        help: vec![help.into()],
        ..Diagnostic::from(error)
    }
}
