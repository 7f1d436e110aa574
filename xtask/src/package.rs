//! `cargo xtask package`: every crate that can be published, packaged and built from its package.

use std::path::Path;

use crate::command::root;
use crate::error::{Error, Result, cannot};

/// Packages the publishable crates of `formats/` together, and builds each from its package. They
/// depend on each other, and none of them is on crates.io yet, so that one alone would not build.
pub fn check() -> Result {
    let mut arguments = vec!["package".to_owned(), "--allow-dirty".to_owned()];
    for name in publishable(&root().join("formats"))? {
        arguments.extend(["--package".to_owned(), name]);
    }
    crate::run("cargo", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Lists the packages below a directory, without those that say `publish = false`.
fn publishable(directory: &Path) -> Result<Vec<String>> {
    let reading = || format!("read {}", directory.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot(reading()))? {
        let path = entry.map_err(cannot(reading()))?.path().join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).map_err(cannot(format!("read {}", path.display())))?;
        if manifest.lines().any(|line| line == "publish = false") {
            continue;
        }
        let name = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        names.push(
            name.ok_or_else(|| Error::new(format!("{} has no package name", path.display())))?
                .to_owned(),
        );
    }
    names.sort();
    Ok(names)
}
