//! The tag of a package: a hash of its sources.

use std::collections::BTreeSet;
use std::path::Path;

use extents::Extents;
use sha2::{Digest, Sha256};

use super::error::cannot;
use super::files::{self, Entry};
use super::recipe::{Recipe, Step};
use super::{cargo, crates};
use crate::diagnostic::Diagnostic;

/// Length of a tag, in hexadecimal digits.
const LEN: usize = 40;

/// Hashes the files of a package's directory and of the crates that it compiles. Versions of
/// Debian packages do not count: they are known only after fetching.
///
/// # Errors
/// Files that cannot be read, and crates that cannot be found.
pub fn of_sources(dir: &Path, recipe: &Recipe) -> Result<String, Diagnostic> {
    let mut hash = Sha256::new();
    let mut add = |directory: &Path, prefix: &str| -> Result<(), Diagnostic> {
        for (name, entry) in files::walk(directory)? {
            let (mode, content) = match &entry {
                Entry::File(path) => {
                    let content = files::content(path)?;
                    let mode = if files::is_executable(&content)? { "x" } else { "-" };
                    (mode, content)
                }
                Entry::Symlink(target) => ("l", Extents::from_bytes(target.as_bytes())),
                Entry::EmptyDirectory => ("d", Extents::new()),
            };
            hash.update(format!("{prefix}/{name}\0{mode}{}\0", content.len()));
            let hashed = extents::emit::chunks(&content, |chunk| {
                hash.update(chunk);
                Ok(())
            });
            hashed.map_err(cannot(format!("read {}/{name}", directory.display())))?;
        }
        Ok(())
    };
    add(dir, "")?;
    let mut locked = BTreeSet::new();
    for step in &recipe.contents {
        if let Step::Cargo { cargo, .. } = step {
            let workspace = cargo::workspace(dir)?;
            // Profiles and features of the workspace.
            add(&workspace.join("Cargo.toml"), "Cargo.toml")?;
            let sources = crates::sources(&workspace, cargo)?;
            for (name, directory) in &sources.directories {
                add(directory, name)?;
            }
            locked.extend(sources.locked);
        }
    }
    for entry in locked {
        hash.update(entry);
    }
    let digest = crate::oci::digest(hash);
    Ok(digest.trim_start_matches("sha256:").chars().take(LEN).collect())
}
