//! Which .debs make a list of packages, and where they are.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{Options, deb, sources, version};
use crate::arch::Arch;

/// The .debs of packages, with what they depend on if `closure`, in the order of their names.
/// They are in the component `main` of the archive, or in another one as well.
pub fn fetch(
    packages: &[String],
    component: Option<&str>,
    closure: bool,
    options: &Options,
) -> Result<Vec<PathBuf>, String> {
    match &options.debs {
        Some(folder) => choose(packages, closure, folder, options.arch),
        None => download(packages, component, closure, options),
    }
}

/// A .deb of a folder.
struct Deb {
    path: PathBuf,
    version: String,
    depends: String,
    provides: String,
}

/// From a folder of .debs: of a package that is there in several versions, the highest.
fn choose(packages: &[String], closure: bool, folder: &Path, arch: Arch) -> Result<Vec<PathBuf>, String> {
    let mut known: BTreeMap<String, Deb> = BTreeMap::new();
    for path in debs(folder)? {
        let control = deb::control(&path)?;
        let field = |key: &str| control.get(key).cloned().unwrap_or_default();
        if ![arch.name(), "all"].contains(&field("Architecture").as_str()) {
            continue;
        }
        let (package, version) = (field("Package"), field("Version"));
        let higher = known
            .get(&package)
            .map(|other| version::compare(&version, &other.version));
        if higher == Some(Ordering::Less) {
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
    let mut by_path: Vec<(&String, &Deb)> = known.iter().collect();
    by_path.sort_by_key(|(_, deb)| &deb.path);
    let mut provided: BTreeMap<String, &String> = BTreeMap::new();
    for (package, deb) in by_path {
        provided.extend(deb.provides.split(',').map(|name| (bare(name), package)));
    }
    let find = |name: &str| {
        known
            .get_key_value(name)
            .or_else(|| known.get_key_value(*provided.get(name)?))
    };
    let mut chosen = BTreeSet::new();
    let mut open: Vec<String> = packages.to_vec();
    while let Some(name) = open.pop() {
        let Some((name, deb)) = find(&name) else {
            return Err(format!(
                "there is no package {name} for {arch} in {}\nhelp: put its .deb there, or leave --debs out to fetch it with apt-get",
                folder.display()
            ));
        };
        if !chosen.insert((name.clone(), deb.path.clone())) || !closure {
            continue;
        }
        for alternatives in deb.depends.split(',').filter(|text| !text.trim().is_empty()) {
            let mut names = alternatives.split('|').map(bare);
            let first = names.clone().next().unwrap_or_default();
            open.push(names.find(|name| find(name).is_some()).unwrap_or(first));
        }
    }
    Ok(chosen.into_iter().map(|(_, path)| path).collect())
}

/// A package's name without version and architecture.
fn bare(text: &str) -> String {
    let name = text.trim().split([' ', '(', ':']).next();
    name.unwrap_or_default().to_owned()
}

fn debs(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
        .collect();
    paths.sort();
    Ok(paths)
}

/// Removes the .debs of a folder. What apt-get has begun to fetch stays: it goes on there, if it is still
/// what is wanted.
fn clear(folder: &Path) -> Result<(), String> {
    for path in debs(folder)? {
        std::fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
    }
    Ok(())
}

/// By the host's apt-get, with a state folder of its own, so that neither root nor an earlier
/// `apt-get update` is needed.
fn download(
    packages: &[String],
    component: Option<&str>,
    closure: bool,
    options: &Options,
) -> Result<Vec<PathBuf>, String> {
    let state = options.store.join("moby/apt").join(match component {
        Some(component) => format!("{}+{component}", options.arch),
        None => options.arch.to_string(),
    });
    let mut hash = Sha256::new();
    hash.update(format!("{closure} {}", packages.join(" ")));
    let key: String = crate::oci::digest(hash).chars().skip(7).take(16).collect();
    let archives = state.join("archives").join(key);
    let done = archives.join("complete");
    if done.exists() {
        return debs(&archives);
    }
    let make = |path: &Path| {
        let made = std::fs::create_dir_all(path);
        made.map_err(|error| format!("cannot make {}: {error}", path.display()))
    };
    make(&state.join("state/lists/partial"))?;
    make(&archives.join("partial"))?;
    let status = state.join("status");
    std::fs::write(&status, "").map_err(|error| format!("cannot write {}: {error}", status.display()))?;
    let sources = component.map(|component| sources::with_component(component, &state.join("sources")));
    let sources = sources.transpose()?;
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let apt = |arguments: &[&str]| -> Result<String, String> {
        let mut command = Command::new("apt-get");
        for (key, path) in [
            ("Dir::State", state.join("state")),
            ("Dir::Cache", state.clone()),
            ("Dir::Cache::archives", archives.clone()),
            ("Dir::State::status", status.clone()),
        ] {
            command.arg("-o").arg(format!("{key}={}", absolute(&path).display()));
        }
        for option in [
            "APT::Sandbox::User=",
            "Debug::NoLocking=1",
            "APT::Install-Recommends=0",
            "APT::Get::Assume-Yes=1",
        ] {
            command.args(["-o", option]);
        }
        for option in sources.iter().flatten() {
            command.args(["-o", option]);
        }
        command.arg("-o").arg(format!("APT::Architecture={}", options.arch));
        command.arg("-o").arg(format!("APT::Architectures={}", options.arch));
        command.arg("-qq").args(arguments).current_dir(&archives);
        let output = command.output().map_err(|error| {
            format!("cannot run apt-get: {error}\nhelp: where there is none, --debs names a folder of .deb files")
        })?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.success() {
            true => Ok(said),
            false => Err(format!("apt-get {} failed: {said}", arguments.join(" "))),
        }
    };
    let fresh = std::fs::read_dir(state.join("state/lists")).is_ok_and(|lists| lists.count() > 1);
    let mut arguments = if closure {
        vec!["install", "--download-only"]
    } else {
        vec!["download"]
    };
    arguments.extend(packages.iter().map(String::as_str));
    // What an earlier try left may be of other versions, and all that is there is unpacked.
    let fetch = || {
        clear(&archives)?;
        apt(&arguments)
    };
    let mut result = if fresh { fetch() } else { Err(String::new()) };
    if result.is_err() {
        let said = apt(&["update"])?;
        // An update that reached nothing has not failed, and only warns.
        result = fetch().map_err(|error| match said.is_empty() {
            true => error,
            false => format!("{error}\napt-get update said before: {said}"),
        });
    }
    result?;
    std::fs::write(&done, "").map_err(|error| format!("cannot write {}: {error}", done.display()))?;
    debs(&archives)
}
