//! A build, from a request to its files.
//!
//! ```text
//! resolve ──▶ assemble ──▶ plan ──▶ stage ──▶ verify ──▶ commit
//!        └──▶ the outputs of an earlier build of the same inputs
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use extents::Extents;

use crate::assemble;
use crate::build_record::{BuildRecord, Place, Reports, Reused};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::documents::{self, Subject};
use crate::output::{self, Staged};
use crate::pieces::PieceCache;
use crate::plan::{self, Planner};
use crate::reporter::{Counter, Progress, Reporter};
use crate::request::{Document, Request};
use crate::resolve::{self, Resolved};
use crate::store::{self, Store};
use crate::system::System;
#[cfg(feature = "sign")]
use crate::trust::sign;

/// Maximum number of threads that verify cached layers.
const MAX_VERIFIERS: usize = 64;

/// Result of a build.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// Files that were written, other than standard output.
    pub files: Vec<PathBuf>,
    /// Outputs of an earlier build of the same inputs, in place of files that were built.
    pub reused: Vec<Reused>,
}

/// Reason why a build did not succeed.
enum Failure {
    /// Errors to report.
    Errors(Diagnostics),
    /// A corrupt layer in the cache, which has been removed from it: the build can be repeated.
    CachedLayer(store::Error),
}

impl<T: Into<Diagnostics>> From<T> for Failure {
    fn from(errors: T) -> Self {
        Failure::Errors(errors.into())
    }
}

/// Builds the outputs of a request.
///
/// # Errors
/// All errors that can be found without reading layers, else the first later one. On error no output is
/// renamed into place.
pub fn build(request: &Request, reporter: &dyn Reporter) -> Result<Built, Diagnostics> {
    let repeated = match attempt(request, reporter) {
        Ok(built) => return Ok(built),
        Err(Failure::Errors(errors)) => return Err(errors),
        Err(Failure::CachedLayer(error)) => {
            reporter.warn(&format!("{error}; rebuilding it"));
            attempt(request, reporter)
        }
    };
    repeated.map_err(|failure| match failure {
        Failure::Errors(errors) => errors,
        Failure::CachedLayer(error) => error.into(),
    })
}

fn attempt(request: &Request, reporter: &dyn Reporter) -> Result<Built, Failure> {
    let mut resolved = resolve::resolve(request, reporter)?;
    if request.jobs > 1 {
        resolved.store.defer_verification();
    }
    let resolved = resolved;
    let place = Place::find(request, &resolved);
    if let Some(place) = &place
        && let Some(reused) = place.reuse(request, reporter).map_err(Diagnostic::from)?
    {
        let files = Vec::new();
        return Ok(Built { files, reused });
    }
    let pieces = Arc::new(PieceCache::new(request.piece_options()));
    thread::scope(|scope| {
        let reports = Reports::new(reporter);
        let system = assemble::assemble(request, &resolved, &reports);
        report_whiteouts(&resolved.store, &reports);
        if let Some(error) = resolved.store.unwritable_cache() {
            reporter.warn(&format!(
                "{error}; this build and later ones decompress the layers again"
            ));
        }
        // Cached layers are verified while outputs are planned and written.
        // Where no thread can be started, this one does all of it at the end.
        let verifiers = (1..request.jobs.min(MAX_VERIFIERS))
            .map_while(|_| {
                thread::Builder::new()
                    .spawn_scoped(scope, || resolved.store.verify_pending())
                    .ok()
            })
            .collect();
        let staged = system.and_then(|system| stage(request, &resolved, &system, &pieces, &reports));
        let mut record = match (&staged, &place) {
            (Ok(staged), Some(_)) => BuildRecord::new(staged, reports),
            _ => None,
        };
        verify(&resolved, verifiers)?;
        reporter.progress(Progress::Count(Counter::Verified, resolved.store.verified()));
        let files = staged?.commit(reporter).map_err(Diagnostic::from)?;
        pieces.save();
        // A file that the YAML names may have been changed while it was read.
        if let Some(place) = place.filter(|place| Place::find(request, &resolved).as_ref() == Some(place))
            && let Some(record) = &mut record
        {
            record.add_copies(&files);
            place.save(record);
        }
        let reused = Vec::new();
        Ok(Built { files, reused })
    })
}

/// Plans the outputs and writes them, without names.
fn stage(
    request: &Request,
    resolved: &Resolved,
    system: &System,
    pieces: &Arc<PieceCache>,
    reporter: &dyn Reporter,
) -> Result<Staged, Diagnostics> {
    output::create_directory(&request.target).map_err(Diagnostic::from)?;
    let boot_files = assemble::boot_files(resolved)?;
    let options = plan::Options {
        timeout: resolved.config.boot.timeout.unwrap_or(0),
        pieces: pieces.clone(),
        ..request.output_options()
    };
    let mut planner = Planner::new(system, &boot_files, &options, reporter)?;
    let mut staged = Staged::default();
    let mut images = Vec::new();
    for format in &request.formats {
        reporter.step(&format!("building {}", format.name));
        for file in planner.plan(format)? {
            images.extend(file.image.iter().map(|image| Subject {
                name: image.name.clone(),
                sha256: image.digest.trim_start_matches("sha256:").to_owned(),
            }));
            staged
                .add(file, &request.target, &request.name, reporter)
                .map_err(Diagnostic::from)?;
        }
    }
    if !request.documents.is_empty() {
        reporter.step("writing documents");
        document(request, resolved, system, images, &mut staged)?;
    }
    Ok(staged)
}

/// Writes the documents about the outputs, without names. `images` are those in the outputs.
fn document(
    request: &Request,
    resolved: &Resolved,
    system: &System,
    images: Vec<Subject>,
    staged: &mut Staged,
) -> Result<(), Diagnostics> {
    let mut outputs: Vec<Subject> = staged
        .digests()
        .map_err(Diagnostic::from)?
        .into_iter()
        .map(|(name, sha256)| Subject { name, sha256 })
        .collect();
    outputs.extend(images);
    let mut add = |suffix: &str, bytes: Vec<u8>| -> Result<Subject, Diagnostics> {
        let sha256 = documents::sha256(&Extents::from_bytes(bytes.clone()))
            .map_err(|error| Diagnostic::error(format!("cannot write {}{suffix}: {error}", request.name)))?;
        let name = staged.add_document(suffix, bytes, &request.target, &request.name);
        let name = name.map_err(Diagnostic::from)?;
        Ok(Subject { name, sha256 })
    };
    let mut byproducts = Vec::new();
    for (suffix, bytes) in documents::build(request, resolved, system, &outputs)? {
        byproducts.push(add(suffix, bytes)?);
    }
    if request.documents.contains(&Document::Provenance) {
        let bytes = documents::provenance::document(request, resolved, system, &outputs, &byproducts)?;
        #[cfg(feature = "sign")]
        if let Some(key) = &request.provenance_key {
            add(documents::provenance::BUNDLE, sign::statement(&key.0, &bytes))?;
        }
        add(Document::Provenance.suffix(), bytes)?;
    }
    Ok(())
}

/// Waits until every cached layer that was used is verified.
fn verify(resolved: &Resolved, verifiers: Vec<ScopedJoinHandle<'_, Result<(), store::Error>>>) -> Result<(), Failure> {
    let mut verified = resolved.store.verify_pending();
    for thread in verifiers {
        let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        verified = verified.and(result);
    }
    match verified {
        Ok(()) => Ok(()),
        Err(error) if resolved.store.has_corrupt_layer() => Err(Failure::CachedLayer(error)),
        Err(error) => Err(resolved.locate(&error).into()),
    }
}

/// Reports the images of which files remain that Docker would hide.
fn report_whiteouts(store: &Store, reporter: &dyn Reporter) {
    for (image, directories) in store.unhidden() {
        let directories: Vec<String> = directories.iter().map(|dir| dir.escape_ascii().to_string()).collect();
        let note = Diagnostic::note(format!(
            "{image}: ignoring opaque whiteouts, as LinuxKit does: /{} keep the files of lower layers",
            directories.join(", /")
        ));
        reporter.notice(&note.help("pass --opaque-whiteouts to hide them, as Docker does"));
    }
}
