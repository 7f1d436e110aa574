//! Sources of a program in a cargo workspace: the files of the workspace's crates, and versions and
//! checksums of other crates, from Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::cannot;
use super::files::{self, Entry};
use crate::bounded;
use crate::diagnostic::Diagnostic;

/// Maximum length of a Cargo.lock or Cargo.toml, in bytes.
const MAX_FILE: u64 = 32 << 20;

/// Sources of a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Directories of the workspace's crates, by name.
    pub directories: BTreeMap<String, PathBuf>,
    /// Entries of Cargo.lock for the crate and its dependencies.
    pub locked: BTreeSet<String>,
}

/// Entry of Cargo.lock.
#[derive(Debug, Default)]
struct LockEntry {
    name: String,
    version: String,
    /// True if it comes from a registry or a repository.
    is_external: bool,
    /// Each "NAME", "NAME VERSION" or "NAME VERSION (SOURCE)".
    dependencies: Vec<String>,
    text: String,
}

impl LockEntry {
    /// Returns whether a dependency means this entry.
    fn provides(&self, dependency: &str) -> bool {
        let mut words = dependency.split(' ');
        words.next() == Some(&self.name) && words.next().is_none_or(|version| version == self.version)
    }
}

/// Finds the sources of a crate and its dependencies.
///
/// # Errors
/// A crate that Cargo.lock lacks, and one outside of the workspace.
pub fn sources(workspace: &Path, package: &str) -> Result<Sources, Diagnostic> {
    let path = workspace.join("Cargo.lock");
    let text = bounded::text(&path, MAX_FILE).map_err(cannot(format!("read {}", path.display())))?;
    let entries = entries(&text);
    let mut found = Sources::default();
    let mut members = None;
    let mut pending = vec![package.to_owned()];
    while let Some(name) = pending.pop() {
        let entry = entries.iter().find(|entry| entry.provides(&name));
        let entry = entry.ok_or_else(|| {
            let message = format!("cannot find crate {name} in {}", path.display());
            Diagnostic::error(message).help("run `cargo metadata` to update Cargo.lock")
        })?;
        if !found.locked.insert(entry.text.clone()) {
            continue;
        }
        pending.extend(entry.dependencies.iter().cloned());
        if entry.is_external {
            continue;
        }
        let members = match &mut members {
            Some(members) => members,
            none => none.insert(self::members(workspace)?),
        };
        let directory = members.get(&entry.name).ok_or_else(|| {
            Diagnostic::error(format!(
                "cannot hash crate {}: it is not below {}",
                entry.name,
                workspace.display()
            ))
            .help("move the crate into the workspace, so that its changes change the package's tag")
        })?;
        found.directories.insert(entry.name.clone(), directory.clone());
    }
    Ok(found)
}

/// Parses a Cargo.lock, in the one layout that cargo writes.
fn entries(text: &str) -> Vec<LockEntry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        if line == "[[package]]" {
            entries.push(LockEntry::default());
            continue;
        }
        let Some(entry) = entries.last_mut() else { continue };
        let quoted = |line: &str| line.split('"').nth(1).unwrap_or_default().to_owned();
        match line.split_once(" = ") {
            Some(("name", _)) => entry.name = quoted(line),
            Some(("version", _)) => entry.version = quoted(line),
            Some(("source", _)) => entry.is_external = true,
            None if line.starts_with(" \"") => entry.dependencies.push(quoted(line)),
            _ => {}
        }
        entry.text.push_str(line);
        entry.text.push('\n');
    }
    entries
}

/// Returns the directories of all crates below `workspace`, by name.
fn members(workspace: &Path) -> Result<BTreeMap<String, PathBuf>, Diagnostic> {
    let mut members = BTreeMap::new();
    for (name, entry) in files::walk(workspace)? {
        let Entry::File(path) = entry else { continue };
        if name != "Cargo.toml" && !name.ends_with("/Cargo.toml") {
            continue;
        }
        let text = bounded::text(&path, MAX_FILE).map_err(cannot(format!("read {}", path.display())))?;
        if let (Some(name), Some(directory)) = (package_name(&text), path.parent()) {
            members.insert(name, directory.to_owned());
        }
    }
    Ok(members)
}

/// Returns the name in the section `[package]` of a Cargo.toml.
fn package_name(text: &str) -> Option<String> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[package]")
        .skip(1);
    let line = lines.find(|line| {
        line.starts_with('[')
            || line
                .strip_prefix("name")
                .is_some_and(|rest| rest.trim_start().starts_with('='))
    })?;
    let (_, value) = line.split_once('=')?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"version = 4

[[package]]
name = "a"
version = "0.1.0"
dependencies = [
 "b",
 "far 2.0.0",
]

[[package]]
name = "b"
version = "0.1.0"

[[package]]
name = "far"
version = "1.0.0"
source = "registry+x"

[[package]]
name = "far"
version = "2.0.0"
source = "registry+x"
checksum = "77"
"#;

    fn workspace() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("Cargo.lock", LOCK),
            ("Cargo.toml", "[workspace]\nmembers = []\n"),
            ("one/Cargo.toml", "[package]\nedition = \"2024\"\nname = \"a\"\n"),
            ("crates/two/Cargo.toml", "[lib]\nname = \"x\"\n[package]\nname=\"b\"\n"),
            ("pkg/build.yml", "image: p\ncontents:\n  - cargo: a\n    to: /a\n"),
        ] {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn crates_and_versions_are_followed() {
        let directory = workspace();
        let found = sources(directory.path(), "a").unwrap();
        let names: Vec<&String> = found.directories.keys().collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(found.directories["b"], directory.path().join("crates/two"));
        assert_eq!(found.locked.len(), 3);
        assert!(found.locked.iter().any(|text| text.contains("77")));
        assert!(
            sources(directory.path(), "c")
                .unwrap_err()
                .message
                .contains("cannot find crate c")
        );
        std::fs::remove_dir_all(directory.path().join("crates")).unwrap();
        assert!(
            sources(directory.path(), "a")
                .unwrap_err()
                .message
                .contains("crate b: it is not below")
        );
    }

    #[test]
    fn the_tag_changes_with_what_the_program_is_made_from_only() {
        let directory = workspace();
        let tag = || crate::pkg::tag(&directory.path().join("pkg")).unwrap();
        let change = |path: &str, text: &str| std::fs::write(directory.path().join(path), text).unwrap();
        let before = tag();
        change("README.md", "nothing");
        change("Cargo.lock", &LOCK.replace("1.0.0", "1.0.1"));
        assert_eq!(tag(), before);
        change("crates/two/lib.rs", "// b");
        let after_crate = tag();
        assert_ne!(after_crate, before);
        change("Cargo.lock", &LOCK.replace("77", "78"));
        let after_lock = tag();
        assert_ne!(after_lock, after_crate);
        change("Cargo.toml", "[workspace]\n[profile.release]\nlto = true\n");
        assert_ne!(tag(), after_lock);
    }
}
