//! Paths of the files of a filesystem.

use extents::Extents;

use crate::inspect::Error;

/// Number of files and directories that are listed.
const MAX_ENTRIES: u64 = 4 << 20;
/// Maximum length of a path that is listed, in bytes: Linux's PATH_MAX. A directory that contains itself
/// goes beyond it.
const MAX_PATH: usize = 4096;

/// Files of a filesystem, collected during a walk.
pub struct Listing {
    format: &'static str,
    files: Vec<(String, Extents)>,
    entries: u64,
}

impl Listing {
    /// Returns an empty listing; `format` names the filesystem in errors.
    pub fn new(format: &'static str) -> Listing {
        Listing {
            format,
            files: Vec::new(),
            entries: 0,
        }
    }

    /// Returns the path of an entry of a directory; the root directory has an empty path.
    ///
    /// # Errors
    /// Too many entries, and a path that is too long.
    pub fn path(&mut self, directory: &str, name: &str) -> Result<String, Error> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > MAX_ENTRIES {
            return Err(Error::TooMany {
                format: self.format,
                items: "entries",
                limit: MAX_ENTRIES,
            });
        }
        if directory.len().saturating_add(name.len()) > MAX_PATH {
            return Err(Error::Corrupt {
                format: self.format,
                found: format!(
                    "a path of more than {MAX_PATH} bytes, {}",
                    tree::brief(directory.as_bytes())
                ),
            });
        }
        Ok(if directory.is_empty() {
            name.to_owned()
        } else {
            format!("{directory}/{name}")
        })
    }

    /// Adds a file.
    pub fn add(&mut self, path: String, content: Extents) {
        self.files.push((path, content));
    }

    /// Returns the files, sorted by path.
    pub fn into_files(mut self) -> Vec<(String, Extents)> {
        self.files.sort_by(|one, other| one.0.cmp(&other.0));
        self.files
    }
}
