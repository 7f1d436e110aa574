//! Files of a build on their way to their names: staged without one, then committed, all or none.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Extents, FileBlob, emit};

use crate::diagnostic::Diagnostic;
use crate::oci::digest_of;
use crate::plan::File;
use crate::plan::formats::{Format, Layout, Part};
use crate::reporter::{Progress, Reporter};
use crate::request::{Request, Target};

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Diagnostic::error(error.to_string())
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { path, source }
}

/// Files that are complete, and have no names yet.
#[derive(Debug, Default)]
pub struct Staged(Vec<StagedOutput>);

/// File that is complete, and has no name yet.
#[derive(Debug)]
pub struct StagedOutput {
    /// Path that it will have.
    pub path: PathBuf,
    /// Suffix of its name, after the name of the build.
    pub suffix: String,
    /// True for a document beside the outputs.
    pub is_document: bool,
    pending: Pending,
}

/// File that is not committed yet.
#[derive(Debug)]
enum Pending {
    /// File to rename into place.
    Name(emit::StagedFile),
    /// Content to write to a device or a pipe, which cannot be undone.
    Stream(Extents),
    /// Content to write to standard output.
    Stdout(Extents),
}

impl StagedOutput {
    /// Returns the file; `None` for what is written to a stream later.
    pub fn file(&self) -> Option<&std::fs::File> {
        match &self.pending {
            Pending::Name(file) => Some(file.file()),
            Pending::Stream(_) | Pending::Stdout(_) => None,
        }
    }
}

/// Creates the directory of a target.
///
/// # Errors
/// A directory that cannot be created.
pub fn create_directory(target: &Target) -> Result<(), Error> {
    match target {
        Target::Directory(dir) if !dir.as_os_str().is_empty() => std::fs::create_dir_all(dir).map_err(unwritable(dir)),
        _ => Ok(()),
    }
}

impl Staged {
    /// Writes a file, unless another format has written the same one: kernel and command line are
    /// shared.
    ///
    /// # Errors
    /// Reads and writes that fail.
    pub fn add(&mut self, file: File, target: &Target, name: &str, reporter: &dyn Reporter) -> Result<(), Error> {
        let path = target.path(name, &file.suffix, false);
        if self.0.iter().any(|other| Some(&other.path) == path.as_ref()) {
            return Ok(());
        }
        self.stage(file, path, false, reporter)
    }

    /// Writes a file that an earlier build of the same inputs has written elsewhere.
    ///
    /// # Errors
    /// Reads and writes that fail.
    pub fn add_copy(
        &mut self,
        file: File,
        is_document: bool,
        request: &Request,
        reporter: &dyn Reporter,
    ) -> Result<(), Error> {
        let path = request.target.path(&request.name, &file.suffix, is_document);
        self.stage(file, path, is_document, reporter)
    }

    fn stage(
        &mut self,
        file: File,
        path: Option<PathBuf>,
        is_document: bool,
        reporter: &dyn Reporter,
    ) -> Result<(), Error> {
        let Some(path) = path else {
            let content = Pending::Stdout(file.content);
            self.push("standard output".into(), &file.suffix, is_document, content);
            return Ok(());
        };
        let pending = if emit::is_stream(&path) {
            Pending::Stream(file.content)
        } else {
            let extents = file.content.extents().iter();
            let total = extents.map(|extent| extent.data().len()).sum();
            let progress = begin_progress(&path, total, reporter);
            Pending::Name(emit::stage(&file.content, &path, &progress).map_err(unwritable(&path))?)
        };
        self.push(path, &file.suffix, is_document, pending);
        Ok(())
    }

    fn push(&mut self, path: PathBuf, suffix: &str, is_document: bool, pending: Pending) {
        self.0.push(StagedOutput {
            path,
            suffix: suffix.to_owned(),
            is_document,
            pending,
        });
    }

    /// Returns the files.
    pub fn outputs(&self) -> &[StagedOutput] {
        &self.0
    }

    /// Computes the SHA-256 of each file, in hexadecimal digits, with its name.
    ///
    /// # Errors
    /// Reads that fail.
    pub fn digests(&self) -> Result<Vec<(String, String)>, Error> {
        let digests = self.0.iter().map(|StagedOutput { path, pending, .. }| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let digest = match pending {
                Pending::Name(file) => file
                    .file()
                    .try_clone()
                    .and_then(FileBlob::new)
                    .and_then(|blob| digest_of(&Extents::from_blob(Arc::new(blob)))),
                Pending::Stream(content) | Pending::Stdout(content) => digest_of(content),
            };
            let digest = digest.map_err(unwritable(path))?;
            Ok((name, digest.trim_start_matches("sha256:").to_owned()))
        });
        digests.collect()
    }

    /// Writes a document beside the outputs, and returns its file name. There is none beside standard
    /// output.
    ///
    /// # Errors
    /// Writes that fail.
    pub fn add_document(&mut self, suffix: &str, bytes: Vec<u8>, target: &Target, name: &str) -> Result<String, Error> {
        let Some(path) = target.path(name, suffix, true) else {
            return Ok(String::new());
        };
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let staged = emit::stage(&Extents::from_bytes(bytes), &path, &|_| {}).map_err(unwritable(&path))?;
        self.push(path, suffix, true, Pending::Name(staged));
        Ok(file_name)
    }

    /// Gives the files their names, and returns the names.
    ///
    /// # Errors
    /// Files that cannot be renamed, and streams that cannot be written.
    pub fn commit(self, reporter: &dyn Reporter) -> Result<Vec<PathBuf>, Error> {
        let mut written = Vec::new();
        for StagedOutput { path, pending, .. } in self.0 {
            match pending {
                Pending::Name(file) => file.persist().map_err(unwritable(&path))?,
                Pending::Stream(content) => {
                    let progress = begin_progress(&path, content.len(), reporter);
                    emit::to_stream(&content, &path, &progress).map_err(unwritable(&path))?
                }
                Pending::Stdout(content) => {
                    let progress = begin_progress(&path, content.len(), reporter);
                    let mut out = io::stdout().lock();
                    let streamed = emit::stream_with_progress(&content, &mut out, &progress).and_then(|()| out.flush());
                    streamed.map_err(unwritable(&path))?;
                    continue;
                }
            }
            written.push(path);
        }
        Ok(written)
    }
}

/// Begins to report the progress of writing a number of bytes, and returns the receiver of the numbers
/// of bytes that are written.
fn begin_progress<'a>(path: &Path, total: u64, reporter: &'a dyn Reporter) -> impl Fn(u64) + use<'a> {
    reporter.progress(Progress::Begin {
        operation: &format!("writing {}", path.display()),
        total,
    });
    |bytes| reporter.progress(Progress::Advance(bytes))
}

/// Finds the outputs of a request that cannot be created.
pub fn check(request: &Request) -> Vec<Diagnostic> {
    let (dir, names) = match &request.target {
        Target::Stdout => return Vec::new(),
        Target::File(path) if emit::is_stream(path) => return Vec::new(),
        Target::File(path) => (
            path.parent().map(Path::to_owned).unwrap_or_default(),
            vec![path.clone()],
        ),
        Target::Directory(dir) => {
            let files = request.formats.iter().flat_map(|format| always_written(format));
            (
                dir.clone(),
                files
                    .chain(request.documents.iter().map(|document| document.suffix()))
                    .map(|suffix| dir.join(format!("{}{suffix}", request.name)))
                    .collect(),
            )
        }
    };
    let creates_directory = matches!(request.target, Target::Directory(_));
    let mut errors: Vec<Diagnostic> = directory_error(&dir, creates_directory).into_iter().collect();
    for path in names.iter().filter(|path| path.is_dir()) {
        let message = format!("cannot write {}: it is a directory", path.display());
        errors.push(Diagnostic::error(message).help("remove it, or choose another path"));
    }
    errors
}

/// Suffixes of the files that a format writes in any case.
fn always_written(format: &Format) -> impl Iterator<Item = &'static str> {
    let optional = |part: Part| part == Part::Initrd && format.layout == Layout::Kernel;
    let files = format.files.iter().filter(move |file| !optional(file.part));
    files.map(|file| file.suffix)
}

/// Returns the reason why files cannot be created in a directory, or the directory itself if it is
/// to be created.
fn directory_error(dir: &Path, creates: bool) -> Option<Diagnostic> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let unwritable = |reason: String| {
        let message = format!("cannot write to {}: {reason}", dir.display());
        Some(Diagnostic::error(message).help("choose another --dir or --output"))
    };
    // Missing directories are created in the nearest one that exists.
    let ancestors = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let existing = ancestors.ancestors().find(|path| path.symlink_metadata().is_ok());
    let Some(existing) = existing else {
        return unwritable("it does not exist".into());
    };
    if existing != ancestors && !creates {
        return unwritable("it does not exist".into());
    }
    if !existing.is_dir() {
        return unwritable(format!("{} is not a directory", existing.display()));
    }
    match tempfile::tempfile_in(existing) {
        Ok(_) => None,
        Err(error) => unwritable(error.to_string()),
    }
}
