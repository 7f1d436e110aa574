//! Packages from a directory of .deb files.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::{deb, version};
use crate::arch::Arch;

/// A .deb file with its control fields.
struct Deb {
    path: PathBuf,
    version: String,
    depends: String,
    provides: String,
}

/// Returns the .deb files of `packages`, sorted by package: the highest version of each. With
/// `closure`, their dependencies are included.
///
/// # Errors
/// A package that is not there, and files that are not Debian packages.
pub fn select(packages: &[String], closure: bool, directory: &Path, arch: Arch) -> Result<Vec<PathBuf>, Error> {
    let known = index(directory, arch)?;
    let mut by_path: Vec<(&String, &Deb)> = known.iter().collect();
    by_path.sort_by_key(|(_, deb)| &deb.path);
    let mut provided: BTreeMap<String, &String> = BTreeMap::new();
    for (package, deb) in by_path {
        provided.extend(deb.provides.split(',').map(|name| (package_name(name), package)));
    }
    let find = |name: &str| {
        known
            .get_key_value(name)
            .or_else(|| known.get_key_value(*provided.get(name)?))
    };
    let mut selected = BTreeSet::new();
    let mut pending: Vec<String> = packages.to_vec();
    while let Some(package) = pending.pop() {
        let Some((name, deb)) = find(&package) else {
            return Err(Error::NoPackage {
                package,
                arch,
                directory: directory.to_owned(),
            });
        };
        if !selected.insert((name.clone(), deb.path.clone())) || !closure {
            continue;
        }
        for alternatives in deb.depends.split(',').filter(|text| !text.trim().is_empty()) {
            let mut names = alternatives.split('|').map(package_name);
            let first = names.clone().next().unwrap_or_default();
            pending.push(names.find(|name| find(name).is_some()).unwrap_or(first));
        }
    }
    Ok(selected.into_iter().map(|(_, path)| path).collect())
}

/// Reads the .deb files for an architecture, by package: the highest version of each.
fn index(directory: &Path, arch: Arch) -> Result<BTreeMap<String, Deb>, Error> {
    let mut known: BTreeMap<String, Deb> = BTreeMap::new();
    for path in list(directory)? {
        let control = deb::control(&path)?;
        let field = |key: &str| control.get(key).cloned().unwrap_or_default();
        if ![arch.name(), "all"].contains(&field("Architecture").as_str()) {
            continue;
        }
        let (package, version) = (field("Package"), field("Version"));
        let is_lower = known
            .get(&package)
            .is_some_and(|other| version::compare(&version, &other.version) == Ordering::Less);
        if is_lower {
            continue;
        }
        let deb = Deb {
            path,
            version,
            depends: format!("{},{}", field("Pre-Depends"), field("Depends")),
            provides: field("Provides"),
        };
        known.insert(package, deb);
    }
    Ok(known)
}

/// Returns the name in a dependency such as `libc6:any (>= 2.36)`.
fn package_name(dependency: &str) -> String {
    let name = dependency.trim().split([' ', '(', ':']).next();
    name.unwrap_or_default().to_owned()
}

/// Returns the .deb files of a directory, sorted by name.
///
/// # Errors
/// A directory that cannot be read.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(directory).map_err(|source| Error::File {
        action: "read",
        path: directory.to_owned(),
        source,
    })?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    paths.sort();
    Ok(paths)
}
