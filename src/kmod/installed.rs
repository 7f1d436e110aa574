//! Kernel modules that are installed in a tree, as depmod(8) has indexed them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tree::{Kind, Tree};

use super::name_of;

/// Directories that have one directory for each kernel version.
const DIRECTORIES: [&str; 2] = ["lib/modules", "usr/lib/modules"];

/// A module's file, and the modules that must be loaded before it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    path: String,
    needs: Vec<String>,
}

/// Modules of one kernel version.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// Directory of the version, `lib/modules/VERSION`.
    pub directory: String,
    /// Names of the modules in `modules.builtin`; none without that file.
    pub built_in: Option<BTreeSet<String>>,
    entries: BTreeMap<String, Entry>,
}

impl Installed {
    /// Reads `modules.dep` and `modules.builtin` of the first kernel version in a tree; `None` if it
    /// has neither file.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn find(tree: &Tree) -> io::Result<Option<Installed>> {
        for above in DIRECTORIES {
            let Some(id) = tree.lookup_following(above.as_bytes()) else {
                continue;
            };
            let Kind::Directory(versions) = &tree.node(id).kind else {
                continue;
            };
            for version in versions.keys() {
                let directory = format!("{above}/{}", tree::show(version));
                let dep = text(tree, &format!("{directory}/modules.dep"))?;
                let built_in = text(tree, &format!("{directory}/modules.builtin"))?;
                if dep.is_none() && built_in.is_none() {
                    continue;
                }
                return Ok(Some(Installed {
                    directory,
                    built_in: built_in.map(|list| list.lines().map(name_of).collect()),
                    entries: entries(&dep.unwrap_or_default()),
                }));
            }
        }
        Ok(None)
    }

    /// Returns whether there is a module of this name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Returns the paths below [`Installed::directory`] of a module and all that it needs.
    pub fn files_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let entry = self.entries.get(name).into_iter();
        entry.flat_map(|entry| entry.needs.iter().chain([&entry.path]).map(String::as_str))
    }
}

/// Parses `modules.dep`: `PATH: PATH ...` (modules.dep(5)).
fn entries(dep: &str) -> BTreeMap<String, Entry> {
    let lines = dep.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(path, needs)| {
            let entry = Entry {
                path: path.to_owned(),
                needs: needs.split_whitespace().map(str::to_owned).collect(),
            };
            (name_of(path), entry)
        })
        .collect()
}

fn text(tree: &Tree, path: &str) -> io::Result<Option<String>> {
    match tree.lookup_following(path.as_bytes()).map(|id| &tree.node(id).kind) {
        Some(Kind::File(content)) => Ok(Some(String::from_utf8_lossy(&content.to_vec()?).into_owned())),
        _ => Ok(None),
    }
}
