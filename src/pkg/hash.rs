//! The hash of a package's sources, which is its tag.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::recipe::{Content, Recipe};
use super::{cargo, crates};

/// All files of a folder that count, and of the crates that it builds. Versions of Debian
/// packages are not known before they are fetched and do not count.
pub fn sources(dir: &Path, recipe: &Recipe) -> Result<String, String> {
    let mut hash = Sha256::new();
    let mut add = |folder: &Path, prefix: &str| -> Result<(), String> {
        for (name, path) in walk(folder)? {
            let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mode = if executable(&path, &bytes) { "x" } else { "-" };
            hash.update(format!("{prefix}/{name}\0{mode}{}\0", bytes.len()));
            hash.update(&bytes);
        }
        Ok(())
    };
    add(dir, "")?;
    let mut locked = BTreeSet::new();
    for content in &recipe.contents {
        if let Content::Cargo { cargo, .. } = content {
            let workspace = cargo::workspace(dir)?;
            // Profiles and features of the workspace.
            add(&workspace.join("Cargo.toml"), "Cargo.toml")?;
            let sources = crates::sources(&workspace, cargo)?;
            for (name, folder) in &sources.folders {
                add(folder, name)?;
            }
            locked.extend(sources.locked);
        }
    }
    for entry in locked {
        hash.update(entry);
    }
    let digest = crate::store::digest(hash);
    Ok(digest.trim_start_matches("sha256:").chars().take(40).collect())
}

/// The files below a path by name with `/`, in order; the path itself when it is a file.
pub fn walk(path: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if path.is_file() {
        return Ok(vec![(String::new(), path.to_owned())]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["target", ".git"].contains(&name.as_str()) {
            continue;
        }
        for (below, file) in walk(&entry.path())? {
            let name = if below.is_empty() {
                name.clone()
            } else {
                format!("{name}/{below}")
            };
            files.push((name, file));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file is a program. Its first bytes say so on every operating system, where the
/// permissions are not.
pub fn executable(_path: &Path, bytes: &[u8]) -> bool {
    bytes.starts_with(b"#!") || bytes.starts_with(b"\x7fELF")
}
