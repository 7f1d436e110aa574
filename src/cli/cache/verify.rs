//! `moby cache verify`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Extents, FileBlob, emit};

use super::super::Failure;
use super::{fail, store};
use crate::debian;
use crate::diagnostic::Diagnostic;
use crate::oci::digest_of;
use crate::reporter::Reporter;
use crate::resolve::kernel;
use crate::store::LayerCache;

/// Reads everything in a cache directory, and fails if any of it is damaged.
pub fn verify(dir: &Path, reporter: &dyn Reporter) -> Result<(), Failure> {
    let mut damaged: Vec<Diagnostic> = Vec::new();
    let mut verified: BTreeSet<String> = BTreeSet::new();
    for layout in store(dir)?.layouts() {
        for (name, descriptor) in layout.descriptors() {
            let name = name.unwrap_or_else(|| descriptor.digest().to_string());
            match layout.graph_of(&name, descriptor, &|_| None) {
                Ok(graph) => {
                    verified.extend(graph.blobs.into_iter().map(|blob| blob.digest));
                    reporter.info(&format!("{name}: intact"));
                }
                Err(error) => damaged.push(error.into()),
            }
        }
    }
    damaged.extend(other_blobs(dir, &verified));
    let count = |what: &str, intact: usize| {
        if intact > 0 {
            reporter.info(&format!("{what}: {intact} intact"));
        }
    };
    let (intact, corrupt) = LayerCache::verify(dir);
    count("decompressed layers", intact);
    damaged.extend(corrupt.into_iter().map(Diagnostic::from));
    let (intact, corrupt) = kernel::verify(dir);
    count("drivers of kernels", intact);
    damaged.extend(corrupt.iter().map(|path| {
        corrupt_file(path, "it does not have its own digest")
            .help("run `moby cache clean`; the next build reads the kernel again")
    }));
    let (intact, corrupt) = debian::verify(dir);
    count("Debian packages", intact);
    damaged.extend(corrupt.iter().map(|path| {
        corrupt_file(path, "it is not the file that was downloaded")
            .help("run `moby cache clean`; the next build of a package downloads it again")
    }));
    fail(damaged)
}

fn corrupt_file(path: &Path, found: &str) -> Diagnostic {
    Diagnostic::error(format!("{} is damaged: {found}", path.display()))
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
        // Another process may be writing it.
        if verified.contains(&digest) || name.starts_with(emit::TEMP_PREFIX) {
            return None;
        }
        let found = FileBlob::open(path).and_then(|blob| digest_of(&Extents::from_blob(Arc::new(blob))));
        let found = match found {
            Ok(found) if found == digest => return None,
            // Another process may have removed it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            found => found.unwrap_or_else(|error| error.to_string()),
        };
        let error = corrupt_file(path, &format!("its digest is {found}"));
        Some(error.help("run `moby cache clean`: no image of the cache needs it"))
    };
    paths.iter().filter_map(check).collect()
}
