//! `cargo xtask package`: every crate that can be published, packaged and built from its package.

use std::path::Path;

use crate::foreign::root;

/// Packages the publishable crates of `formats/` together, and builds each from its package. They
/// depend on each other, and none of them is on crates.io yet, so that one alone would not build.
pub fn check() -> Result<(), String> {
    let mut arguments = vec!["package".to_owned(), "--allow-dirty".to_owned()];
    for name in publishable(&root().join("formats"))? {
        arguments.extend(["--package".to_owned(), name]);
    }
    crate::run("cargo", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Names of the packages below a directory, without those that say `publish = false`.
fn publishable(directory: &Path) -> Result<Vec<String>, String> {
    let failed = |error| format!("{}: {error}", directory.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path().join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if manifest.lines().any(|line| line == "publish = false") {
            continue;
        }
        let name = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        names.push(
            name.ok_or_else(|| format!("{}: there is no name", path.display()))?
                .to_owned(),
        );
    }
    names.sort();
    Ok(names)
}
