//! What a program of a cargo workspace is made from: crates of the workspace, whose files count,
//! and crates from elsewhere, of which Cargo.lock has the versions and checksums.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::hash;

/// The sources of a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The folders of the crates without a registry, by their names.
    pub folders: BTreeMap<String, PathBuf>,
    /// The entries of Cargo.lock for the crate and all that it needs.
    pub locked: BTreeSet<String>,
}

/// An entry of Cargo.lock.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    version: String,
    /// Whether it is from a registry or a repository.
    foreign: bool,
    /// "NAME", "NAME VERSION" or "NAME VERSION (SOURCE)".
    needs: Vec<String>,
    text: String,
}

impl Entry {
    fn is(&self, need: &str) -> bool {
        let mut words = need.split(' ');
        words.next() == Some(&self.name) && words.next().is_none_or(|version| version == self.version)
    }
}

/// Follows a crate through the Cargo.lock of a workspace.
///
/// # Errors
/// A crate that is not in it, or one of a folder outside of the workspace.
pub fn sources(workspace: &Path, package: &str) -> Result<Sources, String> {
    let path = workspace.join("Cargo.lock");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let entries = entries(&text);
    let mut found = Sources::default();
    let mut members = None;
    let mut next = vec![package.to_owned()];
    while let Some(need) = next.pop() {
        let entry = entries.iter().find(|entry| entry.is(&need));
        let entry = entry.ok_or_else(|| format!("there is no crate {need} in {}", path.display()))?;
        if !found.locked.insert(entry.text.clone()) {
            continue;
        }
        next.extend(entry.needs.iter().cloned());
        if entry.foreign {
            continue;
        }
        let members = match &mut members {
            Some(members) => members,
            none => none.insert(self::members(workspace)?),
        };
        let folder = members.get(&entry.name).ok_or_else(|| {
            format!(
                "the crate {} is in no folder below {}, so that its changes would go unnoticed",
                entry.name,
                workspace.display()
            )
        })?;
        found.folders.insert(entry.name.clone(), folder.clone());
    }
    Ok(found)
}

/// The entries of a Cargo.lock, which cargo writes in one way only.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        if line == "[[package]]" {
            entries.push(Entry::default());
            continue;
        }
        let Some(entry) = entries.last_mut() else { continue };
        let quoted = |line: &str| line.split('"').nth(1).unwrap_or_default().to_owned();
        match line.split_once(" = ") {
            Some(("name", _)) => entry.name = quoted(line),
            Some(("version", _)) => entry.version = quoted(line),
            Some(("source", _)) => entry.foreign = true,
            None if line.starts_with(" \"") => entry.needs.push(quoted(line)),
            _ => {}
        }
        entry.text.push_str(line);
        entry.text.push('\n');
    }
    entries
}

/// The folders of all crates below a folder, by their names.
fn members(workspace: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut members = BTreeMap::new();
    for (name, found) in hash::walk(workspace)? {
        let hash::Found::File(path) = found else { continue };
        if name != "Cargo.toml" && !name.ends_with("/Cargo.toml") {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if let (Some(name), Some(folder)) = (package_name(&text), path.parent()) {
            members.insert(name, folder.to_owned());
        }
    }
    Ok(members)
}

/// The name in the section `[package]` of a Cargo.toml.
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
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("Cargo.lock", LOCK),
            ("Cargo.toml", "[workspace]\nmembers = []\n"),
            ("one/Cargo.toml", "[package]\nedition = \"2024\"\nname = \"a\"\n"),
            ("crates/two/Cargo.toml", "[lib]\nname = \"x\"\n[package]\nname=\"b\"\n"),
            ("pkg/build.yml", "image: p\ncontents:\n  - cargo: a\n    to: /a\n"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn crates_and_versions_are_followed() {
        let folder = workspace();
        let found = sources(folder.path(), "a").unwrap();
        let names: Vec<&String> = found.folders.keys().collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(found.folders["b"], folder.path().join("crates/two"));
        assert_eq!(found.locked.len(), 3);
        assert!(found.locked.iter().any(|text| text.contains("77")));
        assert!(sources(folder.path(), "c").unwrap_err().contains("no crate c"));
        std::fs::remove_dir_all(folder.path().join("crates")).unwrap();
        assert!(sources(folder.path(), "a").unwrap_err().contains("b is in no folder"));
    }

    #[test]
    fn the_tag_changes_with_what_the_program_is_made_from_only() {
        let folder = workspace();
        let tag = || crate::pkg::tag(&folder.path().join("pkg")).unwrap();
        let change = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
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
