//! Records of builds in the cache directory, by which a later build of the same inputs finds that nothing is to be
//! done.
//!
//! ```text
//! CACHE/moby/builds/KEY.json    KEY: digest of everything that the outputs depend on
//!   reports                     notes and warnings of the build, which later ones repeat
//!   outputs                     size and checksum of each, and the places where it was written
//! ```

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use extents::{Extents, FileBlob, emit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::checked_json;
use crate::codec::compress::Compression;
use crate::config::canonical;
use crate::diagnostic::{Diagnostic, Severity};
use crate::oci::cached_file::is_digest;
use crate::oci::{digest, digest_of};
use crate::output::{self, Staged, StagedOutput};
use crate::plan::File;
use crate::reporter::{Progress, Reporter};
use crate::request::{Request, Reuse};
use crate::resolve::{Resolved, sources};
use crate::store::{self, Image};

/// Path of the records in a cache directory.
const DIR: &str = "moby/builds";
/// Version of the records and of their keys.
const VERSION: u32 = 1;
/// Maximum length of a record, in bytes.
const MAX_RECORD: u64 = 16 << 20;
/// Maximum number of records; the one that was not used for the longest time goes first.
const MAX_RECORDS: usize = 1000;
/// Maximum number of places of an output that a record keeps.
const MAX_COPIES: usize = 8;
/// Maximum length of a file of the host that has no length, such as those of /proc, in bytes. Builds refuse longer
/// ones.
const MAX_UNSIZED: u64 = 64 << 20;
/// Length of the blocks of a checksum, in bytes.
const BLOCK: usize = 64 << 10;

/// Record of a build.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct BuildRecord {
    reports: Vec<Report>,
    outputs: Vec<Output>,
}

/// Report of a build.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Report {
    /// Fact.
    Info(String),
    /// Warning without remedies.
    Warning(String),
    /// Note or warning with its remedies.
    Notice {
        is_warning: bool,
        message: String,
        help: Vec<String>,
    },
}

impl Report {
    /// Reports to another reporter.
    fn repeat(&self, reporter: &dyn Reporter) {
        match self {
            Report::Info(text) => reporter.info(text),
            Report::Warning(text) => reporter.warn(text),
            Report::Notice {
                is_warning,
                message,
                help,
            } => reporter.notice(&Diagnostic {
                severity: if *is_warning { Severity::Warning } else { Severity::Note },
                message: message.clone(),
                help: help.clone(),
                ..Diagnostic::default()
            }),
        }
    }
}

/// Output of a build.
#[derive(Debug, Serialize, Deserialize)]
struct Output {
    /// Suffix of its name, after the name of the build.
    suffix: String,
    is_document: bool,
    /// Size in bytes.
    size: u64,
    checksum: String,
    /// Places where it was written, the latest last.
    copies: Vec<WrittenFile>,
}

/// Place where an output was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct WrittenFile {
    path: PathBuf,
    /// Modification time in nanoseconds since 1970.
    modified: u64,
}

/// Output that did not have to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reused {
    /// Path. None for standard output.
    pub path: Option<PathBuf>,
    /// Path of the file that it was copied from; `None` if it was there.
    pub copied_from: Option<PathBuf>,
}

/// Place of the record of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(PathBuf);

impl Place {
    /// Finds the place of a build's record. `None` without a cache directory, and if the program or an input cannot be
    /// read: the build itself says why.
    ///
    /// Signatures are no part of it: they were verified when references were resolved.
    pub fn find(request: &Request, resolved: &Resolved) -> Option<Place> {
        let cache = request.image_sources.cache.as_ref()?;
        let inputs = inputs(request, resolved).ok()?;
        let key = digest(Sha256::new_with_prefix(inputs.to_string()));
        let name = format!("{}.json", key.trim_start_matches("sha256:"));
        Some(Place(cache.join(DIR).join(name)))
    }

    /// Reuses the outputs of a recorded build: those that are there stay, others are copied. `None` if
    /// there is no record, or an output is nowhere as it was recorded.
    ///
    /// # Errors
    /// Copies that cannot get their names, and streams that cannot be written.
    pub fn reuse(&self, request: &Request, reporter: &dyn Reporter) -> Result<Option<Vec<Reused>>, output::Error> {
        if request.reuse == Reuse::Never {
            return Ok(None);
        }
        let Some(mut record) = checked_json::load::<BuildRecord>(&self.0, MAX_RECORD) else {
            return Ok(None);
        };
        let Some((staged, reused)) = record.stage(request, reporter) else {
            return Ok(None);
        };
        for report in &record.reports {
            report.repeat(reporter);
        }
        staged.commit(reporter)?;
        for (output, reused) in record.outputs.iter_mut().zip(&reused) {
            if let Some(path) = reused.path.as_ref().filter(|_| reused.copied_from.is_some()) {
                output.add_copy(path);
            }
        }
        if reused.iter().all(|reused| reused.copied_from.is_none()) {
            // The time of the last use, for `prune`.
            let touched = fs::File::options().append(true).open(&self.0);
            let _ = touched.and_then(|file| file.set_modified(SystemTime::now()));
        } else {
            self.save(&record);
        }
        Ok(Some(reused))
    }

    /// Saves a record. A cache that cannot be written costs time later, not the build.
    pub fn save(&self, record: &BuildRecord) {
        if checked_json::save(record, &self.0).is_ok()
            && let Some(dir) = self.0.parent()
        {
            prune(dir);
        }
    }
}

impl BuildRecord {
    /// Creates the record of staged outputs. `None` if one of them is a stream, of which nothing remains.
    pub fn new(staged: &Staged, reports: Reports<'_>) -> Option<BuildRecord> {
        let outputs = staged.outputs().iter().map(Output::new);
        Some(BuildRecord {
            reports: reports.reports.into_inner().unwrap_or_else(PoisonError::into_inner),
            outputs: outputs.collect::<Option<_>>()?,
        })
    }

    /// Adds where the outputs were written, in their order.
    pub fn add_copies(&mut self, paths: &[PathBuf]) {
        for (output, path) in self.outputs.iter_mut().zip(paths) {
            output.add_copy(path);
        }
    }

    /// Finds the outputs of a request, and stages copies of those that are elsewhere.
    fn stage(&self, request: &Request, reporter: &dyn Reporter) -> Option<(Staged, Vec<Reused>)> {
        let mut staged = Staged::default();
        let mut reused = Vec::new();
        for output in &self.outputs {
            let path = request.target.path(&request.name, &output.suffix, output.is_document);
            let regular = path.as_ref().filter(|path| !emit::is_stream(path));
            if regular.is_some_and(|path| output.is_intact_at(path, request.reuse)) {
                reused.push(Reused {
                    path,
                    copied_from: None,
                });
                continue;
            }
            let copies = output.copies.iter().rev();
            let found = copies
                .map(|copy| &copy.path)
                .find(|path| output.is_intact_at(path, request.reuse))?;
            output::create_directory(&request.target).ok()?;
            let file = File {
                suffix: output.suffix.clone(),
                content: Extents::from_sparse(Arc::new(FileBlob::open(found).ok()?)),
                // Documents alone name it, and they are copied too.
                image: None,
            };
            staged.add_copy(file, output.is_document, request, reporter).ok()?;
            // Another process may have written to it meanwhile.
            output.is_intact_at(found, Reuse::BySizeAndTime).then_some(())?;
            reused.push(Reused {
                path,
                copied_from: Some(found.clone()),
            });
        }
        Some((staged, reused))
    }
}

impl Output {
    fn new(staged: &StagedOutput) -> Option<Output> {
        let blob = FileBlob::new(staged.file()?.try_clone().ok()?).ok()?;
        let content = Extents::from_sparse(Arc::new(blob));
        Some(Output {
            suffix: staged.suffix.clone(),
            is_document: staged.is_document,
            size: content.len(),
            checksum: checksum(&content).ok()?,
            copies: Vec::new(),
        })
    }

    fn add_copy(&mut self, path: &Path) {
        let Some(written) = WrittenFile::find(path) else { return };
        self.copies.retain(|copy| copy.path != written.path);
        self.copies.push(written);
        let old = self.copies.len().saturating_sub(MAX_COPIES);
        self.copies.drain(..old);
    }

    /// Returns whether a file is what was written there.
    fn is_intact_at(&self, path: &Path, reuse: Reuse) -> bool {
        let found = WrittenFile::find(path).filter(|found| self.copies.contains(found));
        if found.is_none() || !fs::metadata(path).is_ok_and(|meta| meta.len() == self.size) {
            return false;
        }
        reuse != Reuse::ByContent
            || FileBlob::open(path)
                .and_then(|blob| checksum(&Extents::from_sparse(Arc::new(blob))))
                .is_ok_and(|found| found == self.checksum)
    }
}

impl WrittenFile {
    /// Describes a regular file; `None` for anything else.
    fn find(path: &Path) -> Option<WrittenFile> {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(WrittenFile {
            path: std::path::absolute(path).ok()?,
            modified: u64::try_from(modified.as_nanos()).ok()?,
        })
    }
}

/// Computes the SHA-256 of the blocks of a file that are not zeros, each with its offset. Holes are not read.
fn checksum(file: &Extents) -> io::Result<String> {
    let mut hash = Sha256::new_with_prefix(file.len().to_le_bytes());
    let mut buffer = vec![0; BLOCK];
    let mut done = 0;
    for extent in file.extents() {
        let mut at = done.max(extent.offset() / BLOCK as u64 * BLOCK as u64);
        while at < extent.end() {
            let len = (file.len() - at).min(BLOCK as u64);
            let block = buffer.get_mut(..len as usize).unwrap_or_default();
            file.read_exact_at(block, at)?;
            if block.iter().any(|byte| *byte != 0) {
                hash.update(at.to_le_bytes());
                hash.update(&*block);
            }
            at += len;
        }
        done = at;
    }
    Ok(digest(hash))
}

/// Lists everything that the outputs of a build depend on.
fn inputs(request: &Request, resolved: &Resolved) -> io::Result<Value> {
    // A new field is an input, or is left out here for a reason.
    let Request {
        arch,
        formats,
        compression,
        disk_compression,
        root,
        verity,
        size,
        decompress_kernel,
        sbom,
        documents,
        #[cfg(feature = "sign")]
        provenance_key,
        time,
        // Only the digests that these lead to count.
        config: _,
        image_sources: _,
        policy: _,
        #[cfg(feature = "registry")]
            registry: _,
        lock: _,
        sources: _,
        debs: _,
        // `name` says when these count.
        target: _,
        name: _,
        // These change no bits.
        reuse: _,
        cache_size: _,
        jobs: _,
    } = request;
    let program = crate::program::identity().ok_or(io::ErrorKind::NotFound)?;
    let text = |compression: &Option<Compression>| compression.map(|compression| compression.to_string());
    let images: Vec<Value> = resolved.images.values().map(image).collect::<io::Result<_>>()?;
    let loaders = resolved.boot_loaders.iter().map(|(loader, found)| {
        let found = match found {
            Ok(found) => image(found)?,
            Err(missing) => missing.to_string().into(),
        };
        Ok(json!([format!("{loader:?}"), found]))
    });
    #[cfg(feature = "sign")]
    let key = provenance_key.as_ref().map(|key| key.0.public().fingerprint());
    #[cfg(not(feature = "sign"))]
    let key = None::<String>;
    Ok(json!({
        "version": VERSION,
        "program": program,
        "config": serde_json::to_value(&resolved.config)?,
        "arch": arch.name(),
        "formats": formats.iter().map(|format| format.name).collect::<Vec<_>>(),
        "name": name(request),
        "opaqueWhiteouts": request.image_sources.opaque_whiteouts,
        "compression": text(compression),
        "diskCompression": text(disk_compression),
        "root": root.map(|root| format!("{root:?}")),
        "verity": verity,
        "size": size,
        "decompressKernel": decompress_kernel,
        "sbom": sbom.as_ref().map(|sbom| json!([sbom.path, sbom.time])),
        "documents": documents.iter().map(|document| document.suffix()).collect::<Vec<_>>(),
        "provenanceKey": key.map(|key| key.to_string()),
        "time": time,
        "images": images,
        "bootLoaders": loaders.collect::<io::Result<Vec<Value>>>()?,
        "layouts": layouts(resolved).map_err(io::Error::other)?,
        "sources": source_digests(request, resolved)?,
    }))
}

/// Returns the name of the build, and that of a file, as far as the content of outputs depends on them.
fn name(request: &Request) -> Value {
    if !request.documents.is_empty() {
        let file = request.target.path(&request.name, "", false);
        let file = file.as_ref().and_then(|path| path.file_name());
        return json!([request.name, file.map(|name| name.to_string_lossy())]);
    }
    let is_within = request.formats.iter().any(|format| format.contains_name());
    json!(is_within.then_some(&request.name))
}

fn image(image: &Image) -> io::Result<Value> {
    let layers = image.layers.iter().map(|layer| [layer.digest(), &layer.diff_id]);
    Ok(json!({
        "name": image.name,
        "digests": image.digests,
        // `docker save` has no manifest.
        "config": image.config_digest()?,
        "layers": layers.collect::<Vec<_>>(),
    }))
}

/// Lists the blobs of the images that volumes take as layouts: of an index, only some platforms may be here.
fn layouts(resolved: &Resolved) -> Result<Vec<Value>, store::Error> {
    let volumes = resolved.config.volumes.iter().filter(|volume| volume.format == "oci");
    let layouts = volumes.filter(|volume| !volume.image.is_empty()).map(|volume| {
        let graph = resolved.store.graph(&canonical(&volume.image), &|_| None)?;
        let blobs: Vec<&str> = graph.blobs.iter().map(|blob| blob.digest.as_str()).collect();
        Ok(json!([graph.top, blobs]))
    });
    layouts.collect()
}

/// Returns the digests of the files that the YAML names; none for files that are missing and optional.
fn source_digests(request: &Request, resolved: &Resolved) -> io::Result<Vec<Value>> {
    let files = resolved.config.all_files().into_iter();
    let files = files.filter(|(_, file)| !file.source.is_empty());
    let digests = files.map(|(_, file)| {
        let bundled = request.sources.as_ref();
        if !sources::check(file, bundled).unwrap_or_default() {
            return Ok(json!([file.source, null]));
        }
        let digest = match bundled.and_then(|bundled| bundled.get(&file.source)) {
            Some(slice) => digest_of(&Extents::from_slice(slice.clone()))?,
            None => digest_of_host_file(&sources::path(file))?,
        };
        Ok(json!([file.source, digest]))
    });
    digests.collect()
}

/// Returns the digest of a file of the host, of which the length may be unknown.
fn digest_of_host_file(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    let max = file.metadata()?.len().max(MAX_UNSIZED);
    let mut file = file.take(max);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BLOCK];
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            return Ok(digest(hash));
        }
        hash.update(buffer.get(..len).unwrap_or_default());
    }
}

/// Reporter that passes reports on, and keeps the notes and warnings among them.
pub struct Reports<'a> {
    reporter: &'a dyn Reporter,
    reports: Mutex<Vec<Report>>,
}

impl<'a> Reports<'a> {
    /// Creates a reporter without reports.
    pub fn new(reporter: &'a dyn Reporter) -> Self {
        Reports {
            reporter,
            reports: Mutex::default(),
        }
    }

    fn keep(&self, report: Report) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push(report);
    }
}

impl Reporter for Reports<'_> {
    fn info(&self, text: &str) {
        self.keep(Report::Info(text.to_owned()));
        self.reporter.info(text);
    }

    fn warn(&self, text: &str) {
        self.keep(Report::Warning(text.to_owned()));
        self.reporter.warn(text);
    }

    fn step(&self, text: &str) {
        self.reporter.step(text);
    }

    fn progress(&self, progress: Progress<'_>) {
        self.reporter.progress(progress);
    }

    /// Keeps a notice without its place: the YAML may have other lines later.
    fn notice(&self, notice: &Diagnostic) {
        self.keep(Report::Notice {
            is_warning: notice.severity != Severity::Note,
            message: notice.message.clone(),
            help: notice.help.clone(),
        });
        self.reporter.notice(notice);
    }
}

/// Removes the records that were not used for the longest time, beyond the maximum number.
fn prune(dir: &Path) {
    let mut records = paths(dir);
    if records.len() <= MAX_RECORDS {
        return;
    }
    records.sort_by_cached_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok());
    let old = records.len() - MAX_RECORDS;
    for path in records.iter().take(old) {
        let _ = fs::remove_file(path);
    }
}

fn paths(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let is_record = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "json") && path.file_stem().is_some_and(is_digest)
    };
    paths.retain(is_record);
    paths.sort();
    paths
}

/// Verifies the records in a cache directory. Returns the number of intact files, and the others.
pub fn verify(cache: &Path) -> (usize, Vec<PathBuf>) {
    let (intact, corrupt): (Vec<PathBuf>, _) = paths(&cache.join(DIR))
        .into_iter()
        .partition(|path| checked_json::load::<BuildRecord>(path, MAX_RECORD).is_some());
    (intact.len(), corrupt)
}

/// Removes the records in a cache directory. Returns the number of files and of bytes.
pub fn clean(cache: &Path) -> (u64, u64) {
    let mut removed = (0, 0);
    for path in paths(&cache.join(DIR)) {
        let len = fs::metadata(&path).map_or(0, |meta| meta.len());
        if fs::remove_file(&path).is_ok() {
            removed = (removed.0 + 1, removed.1 + len);
        }
    }
    removed
}
