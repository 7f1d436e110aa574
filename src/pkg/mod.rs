//! Packages: a directory with a `build.yml` becomes an OCI image in the cache, without Docker.
//!
//! ```text
//! build.yml ──recipe──▶ steps ──(debian, cargo, kernel, linux, files)──▶ Tree ──image──▶ OCI layout
//!        └──tag──▶ docker.io/ORG/IMAGE:HASH
//! ```

mod cargo;
mod crates;
mod error;
mod fields;
mod files;
mod image;
mod kernel;
mod linux;
mod pattern;
mod put;
mod recipe;
mod steps;
mod tag;
mod toolchain;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tree::Tree;

use crate::arch::Arch;
use crate::debian::{self, LockedDeb, Query};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::oci::Writer;
use crate::reporter::Reporter;
use crate::time::default_meta;
use recipe::Recipe;

/// Label of an image with a digest of the Debian packages that are in it.
pub const DEBIAN_LABEL: &str = "org.mobyproject.debian";

/// Options for building packages.
#[derive(Clone, Debug)]
pub struct Options {
    /// OCI layout that receives the images.
    pub store: PathBuf,
    /// Architecture to build for.
    pub arch: Arch,
    /// Directory of .deb files to use in place of apt-get.
    pub debs: Option<PathBuf>,
    /// Versions of Debian packages in a lock.
    pub locked: Vec<LockedDeb>,
    /// Asks the package archive again for what an earlier build has fetched.
    pub refresh: bool,
    /// Number of threads.
    pub jobs: usize,
}

impl Options {
    /// Returns the options for fetching Debian packages.
    fn debian(&self) -> debian::Options {
        debian::Options {
            store: self.store.clone(),
            arch: self.arch,
            debs: self.debs.clone(),
            locked: self.locked.clone(),
            refresh: self.refresh,
        }
    }
}

/// Returns the queries for Debian packages in the recipe of `dir`.
///
/// # Errors
/// A directory without a valid `build.yml`.
pub fn debian_queries(dir: &Path, arch: Arch) -> Result<Vec<Query>, Diagnostics> {
    Ok(steps::queries(&Recipe::read(dir)?, arch))
}

/// Returns what a lock records about the Debian packages in the recipe of `dir`.
///
/// # Errors
/// A directory without a valid `build.yml`, and Debian packages that cannot be fetched.
pub fn lock(dir: &Path, options: &Options) -> Result<Vec<LockedDeb>, Diagnostics> {
    let recipe = Recipe::read(dir)?;
    let mut locked = Vec::new();
    for query in steps::queries(&recipe, options.arch) {
        locked.extend(debian::lock(&query, &options.debian()).map_err(Diagnostic::from)?);
    }
    Ok(locked)
}

/// Returns the label of an image with Debian packages, from which a build knows whether the image has
/// the versions of its lock. None without such packages.
pub fn debian_label(debs: &[LockedDeb]) -> Option<String> {
    let mut debs: Vec<&LockedDeb> = debs.iter().collect();
    debs.sort();
    debs.dedup();
    let mut hash = Sha256::new();
    for deb in &debs {
        hash.update(format!("{} {} {}\n", deb.name, deb.version, deb.sha256));
    }
    (!debs.is_empty()).then(|| crate::oci::digest(hash))
}

/// Returns the image name of the package in `dir`. Its tag is a hash of the sources.
///
/// # Errors
/// A directory without a valid `build.yml`, and sources that cannot be read.
pub fn tag(dir: &Path) -> Result<String, Diagnostics> {
    let recipe = Recipe::read(dir)?;
    Ok(image_name(dir, &recipe)?)
}

fn image_name(dir: &Path, recipe: &Recipe) -> Result<String, Diagnostic> {
    let tag = tag::of_sources(dir, recipe)?;
    Ok(format!("docker.io/{}/{}:{tag}", recipe.org, recipe.image))
}

/// Builds the package in `dir` and returns its image name.
///
/// # Errors
/// A directory without a valid `build.yml`, sources that cannot be read, an architecture that the
/// package does not support, a step that fails, and a layout that cannot be written.
pub fn build(dir: &Path, options: &Options, reporter: &dyn Reporter) -> Result<String, Diagnostics> {
    let recipe = Recipe::read(dir)?;
    let name = image_name(dir, &recipe)?;
    if !recipe.arches.iter().any(|arch| arch == options.arch.name()) {
        let message = format!("cannot build {name} for {}: build.yml excludes it", options.arch);
        let help = format!("add {} to `arches:` in build.yml", options.arch);
        return Err(Diagnostic::error(message).help(help).into());
    }
    // The lock of the layout is also that of apt-get's state.
    let layout = Writer::open(&options.store).map_err(Diagnostic::from)?;
    reporter.info(&format!("building {name}"));
    let mut tree = Tree::new(default_meta(0o755));
    let mut add = || -> Result<(), Diagnostic> {
        for step in &recipe.contents {
            steps::add(&mut tree, step, dir, options, reporter)?;
        }
        let mut debs = Vec::new();
        for query in steps::queries(&recipe, options.arch) {
            debs.extend(debian::lock(&query, &options.debian())?);
        }
        image::write(&tree, &recipe, &name, debian_label(&debs), options, &layout)
    };
    add().map_err(|mut diagnostic| {
        diagnostic.message = format!("{}: {}", dir.display(), diagnostic.message);
        diagnostic
    })?;
    Ok(name)
}
