//! The hash of a package's sources, which is its tag.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Extents, FileBlob, Slice};
use sha2::{Digest, Sha256};

use super::recipe::{Content, Recipe};
use super::{cargo, crates};

/// All files of a folder that count, and of the crates that it builds. Versions of Debian
/// packages are not known before they are fetched and do not count.
pub fn sources(dir: &Path, recipe: &Recipe) -> Result<String, String> {
    let mut hash = Sha256::new();
    let mut add = |folder: &Path, prefix: &str| -> Result<(), String> {
        for (name, found) in walk(folder)? {
            let (mode, content) = match &found {
                Found::File(path) => {
                    let content = content(path)?;
                    let mode = if executable(&content)? { "x" } else { "-" };
                    (mode, content)
                }
                Found::Symlink(target) => ("l", Extents::from_bytes(target.as_bytes())),
                Found::Empty => ("d", Extents::new()),
            };
            hash.update(format!("{prefix}/{name}\0{mode}{}\0", content.len()));
            let hashed = std::io::copy(&mut content.reader(), &mut hash);
            hashed.map_err(|error| format!("{prefix}/{name}: {error}"))?;
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
    let digest = crate::oci::digest(hash);
    Ok(digest.trim_start_matches("sha256:").chars().take(40).collect())
}

/// What there is in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// A file.
    File(PathBuf),
    /// A symbolic link, and what it points to.
    Symlink(String),
    /// A folder with nothing in it.
    Empty,
}

/// What is below a path by name with `/`, in order; the path itself when it is a file. What cargo
/// and git keep for themselves is left out.
pub fn walk(path: &Path) -> Result<Vec<(String, Found)>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if path.is_file() {
        return Ok(vec![(String::new(), Found::File(path.to_owned()))]);
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(failed)?;
            // Windows turns the slashes around.
            all.push((name, Found::Symlink(target.to_string_lossy().replace('\\', "/"))));
        } else if kind.is_file() {
            all.push((name, Found::File(path)));
        } else if kind.is_dir() && name != ".git" && !path.join("CACHEDIR.TAG").exists() {
            let below = walk(&path)?;
            if below.is_empty() {
                all.push((name, Found::Empty));
                continue;
            }
            all.extend(
                below
                    .into_iter()
                    .map(|(below, found)| (format!("{name}/{below}"), found)),
            );
        }
    }
    all.sort();
    Ok(all)
}

/// The bytes of a file.
pub fn content(path: &Path) -> Result<Extents, String> {
    let blob = FileBlob::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Extents::from_slice(Slice::whole(Arc::new(blob))))
}

/// Whether a file is a program. Its first bytes say so on every operating system, where the
/// permissions are not.
pub fn executable(content: &Extents) -> Result<bool, String> {
    let start = content.part(0, 4).to_vec().map_err(|error| error.to_string())?;
    Ok(start.starts_with(b"#!") || start.starts_with(b"\x7fELF"))
}
