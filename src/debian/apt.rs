//! Packages from the Debian archive, fetched by the host's apt-get. Its state is kept in the
//! cache directory, so that neither root nor an earlier `apt-get update` is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::error::{Error, Output};
use super::{LockedDeb, Options, Query, directory, locked, sources};
use crate::bounded;

/// Settings of apt-get (apt.conf(5)).
const SETTINGS: [&str; 4] = [
    "APT::Sandbox::User=",
    "Debug::NoLocking=1",
    "APT::Install-Recommends=0",
    "APT::Get::Assume-Yes=1",
];

/// File with the digests of the packages in a directory, written after the last of them.
const COMPLETE: &str = "complete";
/// Maximum length of that file, in bytes.
const MAX_COMPLETE: u64 = 1 << 20;

/// Beginnings of apt's messages about a network that does not work.
const UNREACHABLE: [&str; 10] = [
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect",
    "Unable to connect",
    "Cannot initiate the connection",
    "Connection failed",
    "Connection timed out",
    "Connection refused",
    "Network is unreachable",
    "No route to host",
];

/// Returns the .deb files of a query, sorted by name.
///
/// # Errors
/// A directory that cannot be written or read, an apt-get that is missing or fails, and an
/// unreachable package archive.
pub fn fetch(query: &Query, options: &Options) -> Result<Vec<PathBuf>, Error> {
    let packages = query.packages.join(" ");
    let state = state(query, options);
    let archives = state
        .join("archives")
        .join(directory_name(&format!("{} {packages}", query.closure)));
    let complete = archives.join(COMPLETE);
    if !options.refresh && is_intact(&archives) {
        return directory::list(&archives);
    }
    let apt = Apt::new(state, archives.clone(), packages, query.component.as_deref(), options)?;
    let mut arguments = if query.closure {
        vec!["install", "--download-only"]
    } else {
        vec!["download"]
    };
    arguments.extend(query.packages.iter().map(String::as_str));
    apt.download(&arguments, options.refresh)?;
    write(&complete, &digests(&archives)?)?;
    directory::list(&archives)
}

/// Lists the digests of the .deb files of a directory, as sha256sum does.
fn digests(archives: &Path) -> Result<String, Error> {
    let mut text = String::new();
    for file in directory::list(archives)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text.push_str(&format!("{}  {name}\n", locked::sha256(&file)?));
    }
    Ok(text)
}

/// Returns whether a directory has all of its files, as they were downloaded.
fn is_intact(archives: &Path) -> bool {
    let Ok(known) = bounded::regular(&archives.join(COMPLETE), MAX_COMPLETE) else {
        return false;
    };
    // Earlier versions wrote no digests.
    known.is_empty() || digests(archives).is_ok_and(|found| found.as_bytes() == known)
}

/// Verifies the packages in a cache directory. Returns the number of intact files, and the lists of
/// digests of those directories that have others.
pub fn verify(cache: &Path) -> (usize, Vec<PathBuf>) {
    let (mut intact, mut corrupt) = (0, Vec::new());
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    for state in below(&cache.join("moby/apt")) {
        for archives in below(&state.join("archives")) {
            let complete = archives.join(COMPLETE);
            match fs::metadata(&complete) {
                Ok(list) if list.len() > 0 && is_intact(&archives) => {
                    intact += directory::list(&archives).map_or(0, |files| files.len());
                }
                Ok(list) if list.len() > 0 => corrupt.push(complete),
                _ => {}
            }
        }
    }
    (intact, corrupt)
}

/// Returns the .deb files of a query in the versions of a lock, sorted by name: those that an earlier
/// build has fetched, else from the package archive.
///
/// # Errors
/// The errors of [`fetch`], and a version that the package archive does not have.
pub fn fetch_locked(query: &Query, locked: &[&LockedDeb], options: &Options) -> Result<Vec<PathBuf>, Error> {
    let state = state(query, options);
    let digests: Vec<&str> = locked.iter().map(|deb| deb.sha256.as_str()).collect();
    let archives = state.join("archives").join(directory_name(&digests.join(" ")));
    create(&archives)?;
    let is_missing = |deb: &&&LockedDeb| locked::select(&[**deb], &archives).is_err();
    let missing: Vec<&LockedDeb> = locked.iter().filter(is_missing).copied().collect();
    let missing = copy_fetched(&missing, &state.join("archives"), &archives)?;
    if !missing.is_empty() {
        let names = missing.iter().map(|deb| format!("{}={}", deb.name, deb.version));
        let names: Vec<String> = names.collect();
        let component = query.component.as_deref();
        let apt = Apt::new(state, archives.clone(), names.join(" "), component, options)?;
        let mut arguments = vec!["download"];
        arguments.extend(names.iter().map(String::as_str));
        if !apt.has_lists() || apt.run(&arguments, "").is_err() {
            let warnings = apt.run(&["update"], "")?;
            apt.run(&arguments, &warnings)?;
        }
    }
    let mut files = locked::select(locked, &archives)?;
    files.sort();
    Ok(files)
}

/// Copies packages that other builds have fetched, and returns those that none has.
fn copy_fetched<'a>(wanted: &[&'a LockedDeb], from: &Path, to: &Path) -> Result<Vec<&'a LockedDeb>, Error> {
    let mut missing = wanted.to_vec();
    for directory in fs::read_dir(from).into_iter().flatten().flatten() {
        if missing.is_empty() {
            break;
        }
        for file in directory::list(&directory.path()).unwrap_or_default() {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_named = |deb: &&LockedDeb| name.starts_with(&format!("{}_", deb.name));
            if !missing.iter().any(is_named) {
                continue;
            }
            let sha256 = locked::sha256(&file)?;
            let before = missing.len();
            missing.retain(|deb| deb.sha256 != sha256);
            if missing.len() < before {
                let copy = to.join(&name);
                fs::copy(&file, &copy).map_err(|source| Error::File {
                    action: "write",
                    path: copy.clone(),
                    source,
                })?;
            }
        }
    }
    Ok(missing)
}

/// Returns the directory of apt-get's state for a query.
fn state(query: &Query, options: &Options) -> PathBuf {
    let mut name = options.arch.to_string();
    if let Some(component) = &query.component {
        name = format!("{name}+{component}");
    }
    options.store.join("moby/apt").join(name)
}

/// Returns the name of a directory of .deb files.
fn directory_name(text: &str) -> String {
    let hash = Sha256::new_with_prefix(text);
    crate::oci::digest(hash).chars().skip(7).take(16).collect()
}

/// apt-get with directories of its own.
struct Apt<'a> {
    state: PathBuf,
    archives: PathBuf,
    packages: String,
    sources: Option<[String; 2]>,
    options: &'a Options,
}

impl<'a> Apt<'a> {
    fn new(
        state: PathBuf,
        archives: PathBuf,
        packages: String,
        component: Option<&str>,
        options: &'a Options,
    ) -> Result<Apt<'a>, Error> {
        create(&state.join("state/lists/partial"))?;
        create(&archives.join("partial"))?;
        write(&state.join("status"), "")?;
        let sources = component.map(|component| sources::with_component(component, &state.join("sources")));
        Ok(Apt {
            sources: sources.transpose()?,
            state,
            archives,
            packages,
            options,
        })
    }

    /// Returns whether an earlier run has fetched the lists of packages, beside the directory `partial`.
    fn has_lists(&self) -> bool {
        fs::read_dir(self.state.join("state/lists")).is_ok_and(|lists| lists.count() > 1)
    }

    /// Downloads packages, after an update of the lists if that is asked for or needed.
    fn download(&self, arguments: &[&str], is_update: bool) -> Result<(), Error> {
        // Files that an earlier attempt left may have other versions, and every file is unpacked.
        let fetch = || {
            clear(&self.archives)?;
            self.run(arguments, "").map(drop)
        };
        if !is_update && self.has_lists() && fetch().is_ok() {
            return Ok(());
        }
        let warnings = self.run(&["update"], "")?;
        clear(&self.archives)?;
        // An update that reached no server succeeds with warnings.
        self.run(arguments, &warnings).map(drop)
    }

    /// Runs apt-get and returns its warnings. `earlier` are those of the runs before.
    fn run(&self, arguments: &[&str], earlier: &str) -> Result<String, Error> {
        let mut command = Command::new("apt-get");
        for (key, path) in [
            ("Dir::State", self.state.join("state")),
            ("Dir::Cache", self.state.clone()),
            ("Dir::Cache::archives", self.archives.clone()),
            ("Dir::State::status", self.state.join("status")),
        ] {
            let path = std::path::absolute(&path).unwrap_or(path);
            command.arg("-o").arg(format!("{key}={}", path.display()));
        }
        let arch = self.options.arch;
        let arches = [
            format!("APT::Architecture={arch}"),
            format!("APT::Architectures={arch}"),
        ];
        let sources = self.sources.iter().flatten();
        for setting in SETTINGS.map(str::to_owned).iter().chain(sources).chain(&arches) {
            command.args(["-o", setting]);
        }
        command.arg("-qq").args(arguments).current_dir(&self.archives);
        // Messages are searched for English texts.
        command.env("LC_ALL", "C");
        let output = command.output().map_err(|source| Error::Program {
            program: "apt-get",
            source,
        })?;
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() {
            return Ok(stderr);
        }
        let stderr = format!("{earlier}\n{stderr}").trim().to_owned();
        Err(failure(self.packages.clone(), stderr))
    }
}

/// Finds the cause of a failure in the messages of apt-get.
fn failure(packages: String, stderr: String) -> Error {
    for line in stderr.lines() {
        let Some(at) = UNREACHABLE.iter().filter_map(|text| line.find(text)).min() else {
            continue;
        };
        let (before, reason) = line.split_at(at);
        // "W: Failed to fetch http://HOST/debian/dists/...  Temporary failure ..."
        let host = before.split_once("://").and_then(|(_, rest)| rest.split('/').next());
        return Error::Offline {
            packages,
            host: host.map(str::to_owned),
            reason: reason.trim_end_matches([':', ' ']).to_owned(),
            source: Output(stderr.clone()),
        };
    }
    let first = stderr.lines().find_map(|line| line.strip_prefix("E: "));
    let reason = first.or_else(|| stderr.lines().next()).unwrap_or("apt-get failed");
    Error::Apt {
        packages,
        reason: reason.to_owned(),
        source: Output(stderr.clone()),
    }
}

/// Removes the .deb files of a directory. Incomplete files stay: apt-get resumes them.
fn clear(directory: &Path) -> Result<(), Error> {
    for path in directory::list(directory)? {
        fs::remove_file(&path).map_err(|source| Error::File {
            action: "remove",
            path,
            source,
        })?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| Error::File {
        action: "create",
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_one_line() {
        let offline = "W: Failed to fetch http://deb.example.org/debian/dists/a/InRelease  Temporary failure resolving 'deb.example.org'\nW: Failed to fetch http://deb.example.org/debian/dists/b/InRelease  Temporary failure resolving 'deb.example.org'\nE: Unable to locate package a\n";
        let error = failure("a".into(), offline.into());
        assert_eq!(
            error.to_string(),
            "cannot fetch a: deb.example.org is unreachable: Temporary failure resolving 'deb.example.org'"
        );
        let error = failure(
            "a b".into(),
            "W: a warning\nE: Unable to locate package b\nE: more".into(),
        );
        assert_eq!(error.to_string(), "cannot fetch a b: Unable to locate package b");
        let error = failure("a".into(), String::new());
        assert_eq!(error.to_string(), "cannot fetch a: apt-get failed");
    }
}
