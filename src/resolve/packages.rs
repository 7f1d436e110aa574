//! Packages that the YAML names by their directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::{Config, canonical};
use crate::debian::LockedDeb;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lock::Lock;
use crate::pkg;
use crate::reporter::Reporter;
use crate::request::Request;
use crate::store::{self, Store};

/// Replaces each `@pkg:` reference by the name that the package has, without building it.
///
/// # Errors
/// Directories without a recipe, and recipes that cannot be read.
pub fn tag(config: &Config, lock: Option<&Lock>) -> Result<Config, Diagnostics> {
    let mut errors = Vec::new();
    let written = references_by_dir(config);
    let name = |dir: &Path| locked_name(dir, &written, lock).map_or_else(|| pkg::tag(dir), Ok);
    let replaced = replace(config, &mut { name }, &mut errors);
    if errors.is_empty() {
        Ok(replaced)
    } else {
        Err(config.locate_all(errors))
    }
}

/// Returns the references to packages as they are written, by directory.
fn references_by_dir(config: &Config) -> BTreeMap<PathBuf, String> {
    let references: BTreeMap<String, String> = config.images().into_iter().collect();
    let packages = config.packages().into_iter();
    let written = packages.filter_map(|(field, dir)| Some((dir, references.get(&field)?.clone())));
    written.collect()
}

/// Returns the name that a lock has for a package whose directory is not here, as beyond an air gap.
fn locked_name(dir: &Path, written: &BTreeMap<PathBuf, String>, lock: Option<&Lock>) -> Option<String> {
    if dir.exists() {
        return None;
    }
    Some(lock?.package(written.get(dir)?)?.to_owned())
}

fn replace(
    config: &Config,
    name: &mut dyn FnMut(&Path) -> Result<String, Diagnostics>,
    errors: &mut Vec<Diagnostic>,
) -> Config {
    let mut replaced = config.clone();
    for (field, dir) in config.packages() {
        match name(&dir) {
            Ok(name) => replaced.set_image(&field, &name),
            Err(found) => errors.extend(at_reference(found, &field, &dir)),
        }
    }
    replaced
}

/// Puts the errors of a package at the reference to it. Those that have a place in its recipe keep
/// that, and one more error names the reference.
fn at_reference(errors: Diagnostics, field: &str, dir: &Path) -> Vec<Diagnostic> {
    let mut errors = errors.0;
    if errors.iter().any(|error| error.snippet.is_some()) {
        let message = format!("cannot use the package {}: its recipe is invalid", dir.display());
        errors.push(Diagnostic::field(field, message));
        return errors;
    }
    for error in &mut errors {
        field.clone_into(&mut error.field);
    }
    errors
}

/// Packages of a build, of which some may not be built yet.
#[derive(Debug)]
pub struct Packages<'a> {
    request: &'a Request,
    /// References as the YAML has them, by directory.
    references: BTreeMap<PathBuf, String>,
    /// Names by directory.
    names: BTreeMap<PathBuf, String>,
    /// Directories of packages that are not in the cache, by name.
    pending: BTreeMap<String, PathBuf>,
    /// Images that are yet to be pulled, by canonical name.
    awaited: BTreeSet<String>,
}

impl<'a> Packages<'a> {
    /// Creates an empty list.
    pub fn new(request: &'a Request) -> Self {
        Packages {
            request,
            references: references_by_dir(&request.config),
            names: BTreeMap::new(),
            pending: BTreeMap::new(),
            awaited: BTreeSet::new(),
        }
    }

    /// Returns the name of a package, which is queued for a build if its image does not exist.
    ///
    /// # Errors
    /// A directory without a recipe, and a recipe that cannot be read.
    pub fn require(&mut self, dir: &Path) -> Result<String, Diagnostics> {
        if let Some(name) = self.names.get(dir) {
            return Ok(name.clone());
        }
        if let Some(name) = locked_name(dir, &self.references, self.request.lock.as_ref()) {
            self.names.insert(dir.to_owned(), name.clone());
            return Ok(name);
        }
        let name = pkg::tag(dir)?;
        if !self.is_built(&name, dir)? {
            self.pending.insert(name.clone(), dir.to_owned());
        }
        self.names.insert(dir.to_owned(), name.clone());
        Ok(name)
    }

    /// Returns whether the image of a package exists, with the Debian packages of the lock.
    fn is_built(&self, name: &str, dir: &Path) -> Result<bool, Diagnostics> {
        let options = store::Options {
            pins: BTreeMap::new(),
            ..self.request.image_sources.clone()
        };
        let found = Store::open(&options).and_then(|store| store.image(name, self.request.arch));
        let Ok(image) = found else { return Ok(false) };
        let locked = self.locked(dir)?;
        Ok(locked.is_none_or(|locked| image.label(pkg::DEBIAN_LABEL) == pkg::debian_label(&locked).as_deref()))
    }

    /// Returns the Debian packages of a package that the lock has. None if it lacks some of them.
    fn locked(&self, dir: &Path) -> Result<Option<Vec<LockedDeb>>, Diagnostics> {
        let Some(lock) = &self.request.lock else {
            return Ok(None);
        };
        let mut all = Vec::new();
        for query in pkg::debian_queries(dir, self.request.arch)? {
            let locked = lock.debian_of(&query, self.request.arch);
            if locked.is_empty() {
                return Ok(None);
            }
            all.extend(locked);
        }
        Ok(Some(all))
    }

    /// Returns the name of a package whose image exists, else `None`, without queueing it for a build.
    ///
    /// # Errors
    /// A directory without a recipe, and a recipe that cannot be read.
    pub fn name_if_built(&mut self, dir: &Path) -> Result<Option<String>, Diagnostics> {
        let noted = self.names.contains_key(dir);
        let name = self.require(dir)?;
        let is_pending = self.is_pending(&name);
        if is_pending && !noted {
            self.pending.remove(&name);
            self.names.remove(dir);
        }
        Ok((!is_pending).then_some(name))
    }

    /// Replaces the `@pkg:` references of a configuration.
    pub fn replace(&mut self, config: &Config, errors: &mut Vec<Diagnostic>) -> Config {
        replace(config, &mut |dir| self.require(dir), errors)
    }

    /// Notes images that are yet to be pulled.
    #[cfg(feature = "registry")]
    pub fn await_images<'b>(&mut self, names: impl Iterator<Item = &'b String>) {
        self.awaited.extend(names.cloned());
    }

    /// Notes that the images were pulled.
    pub fn images_arrived(&mut self) {
        self.awaited.clear();
    }

    /// Returns whether an image is a package that is yet to be built, or is yet to be pulled.
    pub fn is_pending(&self, name: &str) -> bool {
        self.pending.contains_key(name) || self.awaited.contains(&canonical(name))
    }

    /// Returns whether there is nothing to build or pull.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty() && self.awaited.is_empty()
    }

    /// Builds the packages that are not in the cache.
    ///
    /// # Errors
    /// A user without a cache directory, and the first package that fails.
    pub fn build(&mut self, reporter: &dyn Reporter) -> Result<(), Vec<Diagnostic>> {
        let request = self.request;
        let Some(cache) = &request.image_sources.cache else {
            return Err(vec![store::no_cache()]);
        };
        let options = pkg::Options {
            store: cache.clone(),
            arch: request.arch,
            debs: request.debs.clone(),
            locked: request.lock.iter().flat_map(|lock| lock.debian.clone()).collect(),
            refresh: false,
            jobs: request.jobs,
        };
        let fields: BTreeMap<PathBuf, String> = request
            .config
            .packages()
            .into_iter()
            .map(|(field, dir)| (dir, field))
            .collect();
        while let Some((name, dir)) = self.pending.pop_first() {
            let field = fields.get(&dir).map(String::as_str).unwrap_or_default();
            let built = pkg::build(&dir, &options, reporter).and_then(|_| self.is_built(&name, &dir));
            let is_built = built.map_err(|error| {
                self.pending.insert(name.clone(), dir.clone());
                at_reference(error, field, &dir)
            })?;
            if !is_built {
                let message = format!("{name} in a --layout was built from other Debian packages than those locked");
                let help = "remove that --layout, or export the package into it again";
                return Err(vec![Diagnostic::field(field, message).help(help)]);
            }
        }
        Ok(())
    }
}
