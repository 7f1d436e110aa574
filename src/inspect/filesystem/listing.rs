//! Paths of the entries of a filesystem.

use crate::inspect::Error;
use crate::inspect::contents::{Entry, Metadata, Node};

/// Number of files and directories that are listed.
const MAX_ENTRIES: u64 = 4 << 20;
/// Maximum length of a path that is listed, in bytes: Linux's PATH_MAX. A directory that contains itself
/// goes beyond it.
const MAX_PATH: usize = 4096;

/// Entries of a filesystem, collected during a walk.
pub struct Listing {
    format: &'static str,
    entries: Vec<Entry>,
    count: u64,
}

impl Listing {
    /// Returns an empty listing; `format` names the filesystem in errors.
    pub fn new(format: &'static str) -> Listing {
        Listing {
            format,
            entries: Vec::new(),
            count: 0,
        }
    }

    /// Returns the path of an entry of a directory; the root directory has an empty path.
    ///
    /// # Errors
    /// Too many entries, and a path that is too long.
    pub fn path(&mut self, directory: &str, name: &str) -> Result<String, Error> {
        self.count = self.count.saturating_add(1);
        if self.count > MAX_ENTRIES {
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

    /// Adds an entry.
    pub fn add(&mut self, path: String, node: Node, metadata: Metadata) {
        self.entries.push(Entry { path, node, metadata });
    }

    /// Returns the entries, sorted by path.
    pub fn into_entries(mut self) -> Vec<Entry> {
        self.entries.sort_by(|one, other| one.path.cmp(&other.path));
        self.entries
    }
}
