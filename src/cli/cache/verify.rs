//! `moby cache verify`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Extents, FileBlob};
use oci_spec::image::Descriptor;

use super::super::Failure;
use super::{fail, store};
use crate::build_record;
use crate::debian;
use crate::diagnostic::Diagnostic;
use crate::oci::{Layout, cached_file, digest_of, referrers};
use crate::pieces;
use crate::reporter::Reporter;
use crate::resolve::kernel;
use crate::store::LayerCache;
use crate::trust::{self, Policy, Verdict};

/// Reads everything in a cache directory, and fails if any of it is corrupt, or if an image is not signed as
/// the policy requires.
pub fn verify(dir: &Path, policy: Option<&Path>, reporter: &dyn Reporter) -> Result<(), Failure> {
    let policy = policy.map(Policy::read).transpose().map_err(Failure::Usage)?;
    let mut errors: Vec<Diagnostic> = Vec::new();
    let mut verified: BTreeSet<String> = BTreeSet::new();
    for layout in store(dir)?.layouts() {
        for (name, descriptor) in layout.descriptors() {
            let is_image = name.as_deref().is_some_and(|name| referrers::subject(name).is_none());
            let policy = policy.as_ref().filter(|_| is_image);
            let name = name.unwrap_or_else(|| descriptor.digest().to_string());
            match layout.graph_of(&name, descriptor, &|_| None) {
                Ok(graph) => {
                    verified.extend(graph.blobs.into_iter().map(|blob| blob.digest));
                    match policy
                        .map(|policy| signer(policy, &name, layout, descriptor))
                        .transpose()
                    {
                        Ok(signer) => reporter.info(&format!("{name}: intact{}", signer.unwrap_or_default())),
                        Err(error) => errors.push(error.into()),
                    }
                }
                Err(error) => errors.push(error.into()),
            }
        }
    }
    errors.extend(other_blobs(dir, &verified));
    let count = |kind: &str, intact: usize| {
        if intact > 0 {
            reporter.info(&format!("{kind}: {intact} intact"));
        }
    };
    let (intact, corrupt) = LayerCache::verify(dir);
    count("cached layers", intact);
    errors.extend(corrupt.into_iter().map(Diagnostic::from));
    let (intact, corrupt) = kernel::verify(dir);
    count("kernel driver lists", intact);
    errors.extend(corrupt.iter().map(|path| {
        corrupt_file(path, "the digest in it is wrong").help("run `moby cache clean`; the next build recreates it")
    }));
    let (intact, corrupt) = build_record::verify(dir);
    count("build records", intact);
    errors.extend(corrupt.iter().map(|path| {
        corrupt_file(path, "the digest in it is wrong").help("run `moby cache clean`; the next build recreates it")
    }));
    let (intact, corrupt) = pieces::verify(dir);
    count("compressed pieces", intact);
    errors.extend(corrupt.iter().map(|path| {
        corrupt_file(path, "its checksum is wrong").help("run `moby cache clean`; the next build recreates it")
    }));
    let (intact, corrupt) = debian::verify(dir);
    count("Debian packages", intact);
    errors.extend(corrupt.iter().map(|path| {
        corrupt_file(path, "it differs from the file that was downloaded")
            .help("run `moby cache clean`; the next build of a package downloads it again")
    }));
    fail(errors)
}

/// Verifies that an image is signed as the policy requires: the image itself, or each platform in the cache.
/// Returns the signers, as the end of a message.
fn signer(policy: &Policy, name: &str, layout: &Layout, descriptor: &Descriptor) -> Result<String, trust::Error> {
    let layouts = std::slice::from_ref(layout);
    let mut signers = Vec::new();
    for digests in layout.chains(name, descriptor) {
        match trust::verify(policy, name, &digests, layouts)? {
            Verdict::AcceptedUnsigned => return Ok(", accepted unsigned".into()),
            Verdict::Signed { signer, .. } => signers.push(signer.to_string()),
        }
    }
    signers.dedup();
    Ok(format!(", signed with {}", signers.join(", ")))
}

fn corrupt_file(path: &Path, found: &str) -> Diagnostic {
    Diagnostic::error(format!("{} is corrupt: {found}", path.display()))
}

/// Verifies the blobs that no image has.
fn other_blobs(dir: &Path, verified: &BTreeSet<String>) -> Vec<Diagnostic> {
    let entries = std::fs::read_dir(dir.join("blobs/sha256"))
        .into_iter()
        .flatten()
        .flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let check = |path: &PathBuf| {
        let name = path.file_name()?.to_string_lossy();
        let digest = format!("sha256:{name}");
        // Another process may be writing it, or it is not moby's.
        if verified.contains(&digest) || !cached_file::is_digest(path.file_name()?) {
            return None;
        }
        let found = FileBlob::open(path).and_then(|blob| digest_of(&Extents::from_blob(Arc::new(blob))));
        let found = match found {
            Ok(found) if found == digest => return None,
            // Another process may have removed it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Ok(found) => format!("its digest is {found}"),
            Err(error) => error.to_string(),
        };
        let error = corrupt_file(path, &found);
        Some(error.help("run `moby cache clean`: no image of the cache needs it"))
    };
    paths.iter().filter_map(check).collect()
}
