//! Packages of a tree, from every database and program that moby reads.

use std::collections::BTreeSet;
use std::fmt;

use extents::Extents;
use tree::{Kind as NodeKind, Node, NodeId, Tree};

use super::elf::Sections;
use super::{Package, apk, cargo, dpkg, go, rpm};
use crate::diagnostic::size;

/// Maximum length of a database that is read, in bytes.
const MAX_FILE: u64 = 32 << 20;
/// Maximum number of packages of a database that is read. Real images have a few thousand.
pub const MAX_PACKAGES: usize = 20_000;
/// Maximum number of packages, with those of programs.
const MAX_ALL: usize = 50_000;
/// Maximum length of the identifier of a distribution, in bytes.
const MAX_ID: usize = 64;

/// Database that is too large to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Path of the database.
    pub path: String,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, size) = (&self.path, size(MAX_FILE));
        write!(f, "{path} (database of more than {size} or {MAX_PACKAGES} packages)")
    }
}

/// Packages of a tree.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Packages, sorted, each once for each place.
    pub packages: Vec<Package>,
    /// Databases and programs with packages that are not read: path and format.
    pub unread: Vec<String>,
}

/// Finds the packages of a tree: of an image, or of a system with the containers in it. What is corrupt is
/// left out.
pub fn scan(tree: &Tree) -> Scan {
    let (mut packages, mut unread) = (Vec::new(), Vec::new());
    for root in roots(tree) {
        for found in [dpkg::described(tree, &root), apk::packages(tree, &root)] {
            match found {
                Ok(found) => packages.extend(found),
                Err(error) => unread.push(error.to_string()),
            }
        }
        packages.extend(rpm::packages(tree, &root, &mut unread));
    }
    let mut seen: BTreeSet<NodeId> = BTreeSet::new();
    for named in tree.walk() {
        let NodeKind::File(content) = &named.node.kind else {
            continue;
        };
        // Libraries are often not executable, but neither Go nor cargo makes such.
        if named.node.meta.mode & 0o111 == 0 || !seen.insert(named.id) {
            continue;
        }
        if packages.len() > MAX_ALL {
            unread.push(format!("further programs (more than {MAX_ALL} packages)"));
            break;
        }
        let Some(sections) = Sections::read(content) else {
            continue;
        };
        let path = String::from_utf8_lossy(&named.path).into_owned();
        match go::build_info(&sections, &path) {
            Some(go::BuildInfo::Modules(modules)) => packages.extend(modules),
            Some(go::BuildInfo::Old) => unread.push(format!("{path} (program of Go before 1.18)")),
            None => {}
        }
        packages.extend(cargo::crates(&sections, &path).into_iter().flatten());
    }
    packages.sort();
    packages.dedup();
    unread.sort();
    Scan { packages, unread }
}

/// Lists the directories that are the root of a program: the tree's, and those of containers and volumes,
/// as [`crate::assemble`] lays them out.
fn roots(tree: &Tree) -> Vec<String> {
    let names = |path: &str| -> Vec<String> {
        let found = tree.lookup(path.as_bytes()).map(|id| &tree.node(id).kind);
        let Some(NodeKind::Directory(entries)) = found else {
            return Vec::new();
        };
        let names = entries.keys().filter_map(|name| std::str::from_utf8(name).ok());
        names.map(|name| format!("{path}/{name}")).collect()
    };
    let mut roots = vec![String::new()];
    for container in names("containers").iter().flat_map(|section| names(section)) {
        roots.extend(["rootfs", "lower"].map(|name| format!("{container}/{name}")));
    }
    roots
}

/// Joins a root and a path below it.
pub fn join(root: &str, path: &str) -> String {
    if root.is_empty() {
        path.to_owned()
    } else {
        format!("{root}/{path}")
    }
}

/// Returns the node at a path below a root, which symbolic links do not leave.
pub fn node<'a>(tree: &'a Tree, root: &str, path: &str) -> Option<&'a Node> {
    let resolved = tree.resolve_below(root.as_bytes(), path.as_bytes()).ok()?;
    Some(tree.node(tree.lookup(&resolved)?))
}

/// Returns the text of a database below a root; none if it is missing or not a regular file.
///
/// # Errors
/// A database that is too long.
pub fn database(tree: &Tree, root: &str, path: &str) -> Result<Option<String>, TooLarge> {
    match node(tree, root, path).map(|node| &node.kind) {
        Some(NodeKind::File(content)) => read_database(content, &join(root, path)).map(Some),
        _ => Ok(None),
    }
}

/// Returns the text of a database.
///
/// # Errors
/// A database that is too long.
pub fn read_database(content: &Extents, path: &str) -> Result<String, TooLarge> {
    if content.len() > MAX_FILE {
        return Err(TooLarge { path: path.to_owned() });
    }
    Ok(read(content).unwrap_or_default())
}

/// Returns the text of a file below a root; none if it is missing, not a regular file, or too long.
pub fn text(tree: &Tree, root: &str, path: &str) -> Option<String> {
    match &node(tree, root, path)?.kind {
        NodeKind::File(content) => read(content),
        _ => None,
    }
}

/// Returns the text of a file, unless it is too long.
pub fn read(content: &Extents) -> Option<String> {
    if content.len() > MAX_FILE {
        return None;
    }
    Some(String::from_utf8_lossy(&content.to_vec().ok()?).into_owned())
}

/// Returns the identifier of the distribution in `os-release` (os-release(5)), such as `debian`.
pub fn distribution(image: &Tree, root: &str) -> Option<String> {
    let text = text(image, root, "etc/os-release").or_else(|| text(image, root, "usr/lib/os-release"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("ID="))?;
    let value = value.trim_matches(['"', '\'']);
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (!value.is_empty() && value.len() <= MAX_ID && value.bytes().all(valid)).then(|| value.to_owned())
}
