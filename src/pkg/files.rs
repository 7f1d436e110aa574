//! Files beside a `build.yml`, as every operating system sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Extents, FileBlob};

use super::error::cannot;
use crate::diagnostic::Diagnostic;

/// Entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Regular file, by its path on the host.
    File(PathBuf),
    /// Symbolic link, by its target.
    Symlink(String),
    /// Empty directory.
    EmptyDirectory,
}

/// Lists the entries below `path`, by name with `/` and sorted; a file is listed with an empty
/// name. Directories that cargo and git keep for themselves are left out.
///
/// # Errors
/// A directory that cannot be read.
pub fn walk(path: &Path) -> Result<Vec<(String, Entry)>, Diagnostic> {
    if path.is_file() {
        return Ok(vec![(String::new(), Entry::File(path.to_owned()))]);
    }
    let reading = || format!("read {}", path.display());
    let mut all = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot(reading()))? {
        let entry = entry.map_err(cannot(reading()))?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let kind = entry.file_type().map_err(cannot(reading()))?;
        if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(cannot(reading()))?;
            // Windows has backslashes.
            all.push((name, Entry::Symlink(target.to_string_lossy().replace('\\', "/"))));
        } else if kind.is_file() {
            all.push((name, Entry::File(path)));
        } else if kind.is_dir() && name != ".git" && !path.join("CACHEDIR.TAG").exists() {
            let below = walk(&path)?;
            if below.is_empty() {
                all.push((name, Entry::EmptyDirectory));
                continue;
            }
            all.extend(
                below
                    .into_iter()
                    .map(|(below, entry)| (format!("{name}/{below}"), entry)),
            );
        }
    }
    all.sort();
    Ok(all)
}

/// Returns the content of a file.
///
/// # Errors
/// A file that cannot be opened.
pub fn content(path: &Path) -> Result<Extents, Diagnostic> {
    let blob = FileBlob::open(path).map_err(cannot(format!("read {}", path.display())))?;
    Ok(Extents::from_blob(Arc::new(blob)))
}

/// Returns whether a file is a program. Its first bytes are the same on every operating system; its
/// permissions are not.
///
/// # Errors
/// Content that cannot be read.
pub fn is_executable(content: &Extents) -> Result<bool, Diagnostic> {
    let start = content.part(0, 4).to_vec().map_err(cannot("read a file"))?;
    Ok(start.starts_with(b"#!") || start.starts_with(b"\x7fELF"))
}
