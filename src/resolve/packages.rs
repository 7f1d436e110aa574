//! Packages that the YAML names by their directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::{Config, canonical};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::pkg;
use crate::reporter::Reporter;
use crate::request::Request;
use crate::store::{self, Store};

/// Replaces each `@pkg:` reference by the name that the package has, without building it.
///
/// # Errors
/// Directories without a recipe, and recipes that cannot be read.
pub fn tag(config: &Config) -> Result<Config, Diagnostics> {
    let mut errors = Vec::new();
    let replaced = replace(config, &mut |dir| pkg::tag(dir), &mut errors);
    if errors.is_empty() {
        Ok(replaced)
    } else {
        Err(config.locate_all(errors))
    }
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
            names: BTreeMap::new(),
            pending: BTreeMap::new(),
            awaited: BTreeSet::new(),
        }
    }

    /// Returns the name of a package, and notes whether it is yet to be built.
    ///
    /// # Errors
    /// A directory without a recipe, and a recipe that cannot be read.
    pub fn name(&mut self, dir: &Path) -> Result<String, Diagnostics> {
        if let Some(name) = self.names.get(dir) {
            return Ok(name.clone());
        }
        let name = pkg::tag(dir)?;
        let options = store::Options {
            cache: self.request.images.cache.clone(),
            layouts: self.request.images.layouts.clone(),
            ..store::Options::default()
        };
        let found = Store::open(&options);
        if !found.is_ok_and(|found| found.image(&name, self.request.arch).is_ok()) {
            self.pending.insert(name.clone(), dir.to_owned());
        }
        self.names.insert(dir.to_owned(), name.clone());
        Ok(name)
    }

    /// Returns the name of a package unless it is yet to be built, which it is not for this.
    ///
    /// # Errors
    /// A directory without a recipe, and a recipe that cannot be read.
    pub fn built(&mut self, dir: &Path) -> Result<Option<String>, Diagnostics> {
        let noted = self.names.contains_key(dir);
        let name = self.name(dir)?;
        let is_pending = self.is_pending(&name);
        if is_pending && !noted {
            self.pending.remove(&name);
            self.names.remove(dir);
        }
        Ok((!is_pending).then_some(name))
    }

    /// Replaces the `@pkg:` references of a configuration.
    pub fn replace(&mut self, config: &Config, errors: &mut Vec<Diagnostic>) -> Config {
        replace(config, &mut |dir| self.name(dir), errors)
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
    pub fn are_complete(&self) -> bool {
        self.pending.is_empty() && self.awaited.is_empty()
    }

    /// Builds the packages that are not in the cache.
    ///
    /// # Errors
    /// A user without a cache directory, and the first package that fails.
    pub fn build(&mut self, reporter: &dyn Reporter) -> Result<(), Vec<Diagnostic>> {
        let request = self.request;
        let Some(cache) = &request.images.cache else {
            let message = "cannot find the image cache: there is no home directory";
            return Err(vec![Diagnostic::error(message).help("name a directory with --cache")]);
        };
        let options = pkg::Options {
            store: cache.clone(),
            arch: request.arch,
            debs: request.debs.clone(),
            jobs: request.jobs,
        };
        let fields: BTreeMap<PathBuf, String> = request
            .config
            .packages()
            .into_iter()
            .map(|(field, dir)| (dir, field))
            .collect();
        while let Some((name, dir)) = self.pending.pop_first() {
            pkg::build(&dir, &options, reporter).map_err(|error| {
                self.pending.insert(name, dir.clone());
                let field = fields.get(&dir).map(String::as_str).unwrap_or_default();
                at_reference(error, field, &dir)
            })?;
        }
        Ok(())
    }
}
