//! Making a lock: from references to the digests and versions that a build would use.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{boot_loaders, packages};
use crate::arch::Arch;
use crate::config::{Config, canonical};
use crate::debian::LockedDeb;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lock::{Lock, LockedLoader, LockedPackage, LockedSigner, image_names, package_names};
use crate::oci::ImageDigests;
use crate::pkg;
use crate::reporter::Reporter;
#[cfg(feature = "registry")]
use crate::request::Registry;
use crate::store::{self, Store};
use crate::trust::{self, Policy, Verdict};

/// Items of an earlier lock that are looked up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// All items.
    All,
    /// Items with these names; `None` if there are no names.
    Names(Vec<String>),
}

impl Update {
    fn has(&self, name: &str) -> bool {
        match self {
            Update::All => true,
            Update::Names(names) => names.iter().any(|other| is_same(other, name)),
        }
    }
}

/// Returns whether two names are of the same image or package.
fn is_same(one: &str, other: &str) -> bool {
    one == other || store::pin_key(one) == store::pin_key(other)
}

/// Options for making a lock.
#[derive(Clone, Debug)]
pub struct Options {
    /// Architectures whose Debian packages are looked up.
    pub arches: Vec<Arch>,
    /// Sources of images.
    pub image_sources: store::Options,
    /// Registries, if the network may be used.
    #[cfg(feature = "registry")]
    pub registry: Option<Registry>,
    /// Directory of .deb files for packages, in place of apt-get.
    pub debs: Option<PathBuf>,
    /// Items that are looked up again.
    pub update: Update,
    /// Policy that images must satisfy, whose signers are locked.
    pub policy: Option<Policy>,
}

/// Makes a lock of a configuration. Items of an earlier lock stay as they are, unless they are to be
/// updated.
///
/// # Errors
/// Images that are neither in the layouts nor in their registries, or that the policy refuses, and packages
/// that cannot be read or fetched.
pub fn lock(
    config: &Config,
    old: Option<&Lock>,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Lock, Diagnostics> {
    let work = LockBuilder {
        config,
        old,
        options,
        reporter,
        store: Store::open(&options.image_sources).map_err(Diagnostic::from)?,
    };
    if let Update::Names(names) = &options.update {
        work.check(names)?;
    }
    let mut lock = Lock::new(config);
    let mut errors = Vec::new();
    for (name, field) in image_names(config) {
        if let Err(error) = work
            .image(&name, &mut lock)
            .and_then(|()| work.signers(&name, &mut lock))
        {
            errors.push(Diagnostic { field, ..error });
        }
    }
    if !errors.is_empty() {
        return Err(config.locate_all(errors));
    }
    work.packages(&mut lock)?;
    work.loaders(&mut lock)?;
    lock.sort();
    work.report(&lock);
    Ok(lock)
}

/// Finds the signers of an image, of its index and its manifests; none if the policy requires no signature.
fn signers_of(
    policy: &Policy,
    name: &str,
    digests: &[String],
    store: &Store,
) -> Result<BTreeSet<String>, trust::Error> {
    let mut signers = BTreeSet::new();
    let mut refused = None;
    for digest in digests {
        match trust::verify(policy, name, std::slice::from_ref(digest), store.layouts()) {
            Ok(Verdict::Signed { signer, .. }) => drop(signers.insert(signer.id())),
            Ok(Verdict::AcceptedUnsigned) => return Ok(BTreeSet::new()),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    match refused {
        Some(error) if signers.is_empty() => Err(error),
        _ => Ok(signers),
    }
}

struct LockBuilder<'a> {
    config: &'a Config,
    old: Option<&'a Lock>,
    options: &'a Options,
    reporter: &'a dyn Reporter,
    store: Store,
}

impl LockBuilder<'_> {
    /// Refuses names to update that the YAML does not have.
    fn check(&self, names: &[String]) -> Result<(), Diagnostic> {
        let known: Vec<String> = self.config.images().into_iter().map(|(_, name)| name).collect();
        let is_known = |name: &&String| known.iter().any(|known| is_same(known, name));
        match names.iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let help = crate::diagnostic::nearest(name, known.iter().map(String::as_str));
                let help = help.unwrap_or_else(|| format!("images and packages in the YAML: {}", known.join(", ")));
                Err(Diagnostic::error(format!("cannot update {name}: the YAML does not use it")).help(help))
            }
        }
    }

    fn image(&self, name: &str, lock: &mut Lock) -> Result<(), Diagnostic> {
        let is_update = self.options.update.has(name);
        if !is_update && self.old.is_some_and(|old| lock.copy_image(name, old)) {
            return Ok(());
        }
        match self.digests(name, is_update) {
            Ok(digests) => lock.add_image(name, &digests),
            // Without a registry, the digest that was locked is the newest one that is known.
            Err(_) if !self.is_online() && self.old.is_some_and(|old| lock.copy_image(name, old)) => {
                let note = format!("cannot update {name} offline: no layout has it; keeping the locked digest");
                self.reporter.notice(&Diagnostic::note(note));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Records the signers of an image. Those of the earlier lock stay, unless the image is updated.
    fn signers(&self, name: &str, lock: &mut Lock) -> Result<(), Diagnostic> {
        let Some(policy) = &self.options.policy else {
            return Ok(());
        };
        let policy = match self.old {
            Some(old) if !self.options.update.has(name) => policy.clone().with_locked(old.signers()),
            _ => policy.clone(),
        };
        let (reference, digests) = (canonical(name), lock.digests(name));
        let found = signers_of(&policy, &reference, &digests, &self.store);
        #[cfg(feature = "registry")]
        let found = match found {
            Err(error) => self.pulled_signers(&policy, &reference, &digests, error),
            found => found,
        };
        let is_kept = lock.signers.iter().any(|signer| signer.name == name);
        if is_kept && matches!(found, Err(trust::Error::Unsigned { .. })) {
            // Neither the image nor its signature needs to be here to stay in the lock.
            return Ok(());
        }
        lock.signers.retain(|signer| signer.name != name);
        lock.signers.extend(found?.into_iter().map(|signer| LockedSigner {
            name: name.to_owned(),
            signer,
        }));
        Ok(())
    }

    /// Pulls the signatures of an image, and finds its signers in them. `error` is the result if there are none.
    #[cfg(feature = "registry")]
    fn pulled_signers(
        &self,
        policy: &Policy,
        name: &str,
        digests: &[String],
        error: trust::Error,
    ) -> Result<BTreeSet<String>, trust::Error> {
        let (Some(registry), Some(cache)) = (&self.options.registry, &self.options.image_sources.cache) else {
            return Err(error);
        };
        let pulled = registry.client.pull_signatures(name, digests, cache, self.reporter);
        if let Err(error) = pulled {
            self.reporter
                .warn(&format!("cannot pull the signatures of {name}: {error}"));
        }
        match Store::open(&self.options.image_sources) {
            Ok(store) => signers_of(policy, name, digests, &store),
            Err(_) => Err(error),
        }
    }

    fn is_online(&self) -> bool {
        #[cfg(feature = "registry")]
        return self.options.registry.is_some();
        #[cfg(not(feature = "registry"))]
        false
    }

    /// Finds the digests of an image: in the layouts, then in its registry; for an update, first in its
    /// registry, unless a layout was given that has it.
    fn digests(&self, name: &str, is_update: bool) -> Result<ImageDigests, Diagnostic> {
        let local = self.store.digests(&canonical(name)).map_err(Diagnostic::from)?;
        #[cfg(feature = "registry")]
        if let Some(registry) = &self.options.registry
            && (local.is_none() || is_update && !self.is_given(name)?)
        {
            return match (registry.client.digests(&canonical(name)), local) {
                (Ok(digests), _) => Ok(digests),
                (Err(error), Some(local)) if error.is_absence() => {
                    let note = format!("cannot update {name}: {error}; locking the cached image");
                    self.reporter.notice(&Diagnostic::note(note));
                    Ok(local)
                }
                (Err(error), _) => {
                    let mut diagnostic = Diagnostic::error(format!("cannot lock {name}: {error}"));
                    diagnostic.help.extend(error.help());
                    Err(diagnostic)
                }
            };
        }
        let _ = is_update;
        local.ok_or_else(|| self.store.not_found(&canonical(name)).into())
    }

    /// Returns whether a layout that was given has an image; the cache does not count.
    #[cfg(feature = "registry")]
    fn is_given(&self, name: &str) -> Result<bool, Diagnostic> {
        let given = store::Options {
            cache: None,
            shared: Vec::new(),
            ..self.options.image_sources.clone()
        };
        Ok(Store::open(&given)?.has(&canonical(name)))
    }

    fn packages(&self, lock: &mut Lock) -> Result<(), Diagnostics> {
        let names = package_names(self.config);
        let tagged: Vec<(String, String)> = packages::tag(self.config, self.old)?.images();
        for (name, field) in &names {
            let reference = tagged.iter().find(|(other, _)| other == field);
            lock.packages.push(LockedPackage {
                name: name.clone(),
                reference: reference.map(|(_, reference)| reference.clone()).unwrap_or_default(),
            });
        }
        for (field, dir) in self.config.packages() {
            let is_update = names
                .iter()
                .any(|(name, other)| *other == field && self.options.update.has(name));
            for arch in Arch::ALL {
                let found = self.debian(&dir, arch, is_update);
                let found = found.map_err(|errors| {
                    let at = |error| Diagnostic {
                        field: field.clone(),
                        ..error
                    };
                    self.config.locate_all(errors.0.into_iter().map(at).collect())
                })?;
                lock.debian.extend(found);
            }
        }
        Ok(())
    }

    /// Finds the Debian packages of a package: those of the earlier lock, else those that a build would
    /// fetch.
    fn debian(&self, dir: &std::path::Path, arch: Arch, is_update: bool) -> Result<Vec<LockedDeb>, Diagnostics> {
        let is_wanted = self.options.arches.contains(&arch);
        let mut all = Vec::new();
        // Beyond an air gap there may be no sources.
        if !dir.exists() {
            return Ok(self.old.map(|old| old.debian.clone()).unwrap_or_default());
        }
        let mut is_known = true;
        for query in pkg::debian_queries(dir, arch)? {
            let known = self.old.map(|old| old.debian_of(&query, arch)).unwrap_or_default();
            is_known &= !known.is_empty();
            all.extend(known);
        }
        if !is_wanted || (is_known && !is_update) {
            return Ok(all);
        }
        let Some(cache) = &self.options.image_sources.cache else {
            return Err(store::no_cache().into());
        };
        let options = pkg::Options {
            store: cache.clone(),
            arch,
            debs: self.options.debs.clone(),
            locked: if is_update { Vec::new() } else { all },
            refresh: is_update,
            jobs: 1,
        };
        pkg::lock(dir, &options)
    }

    /// Locks the boot loaders that the YAML does not name, as far as they are in the layouts.
    fn loaders(&self, lock: &mut Lock) -> Result<(), Diagnostics> {
        let store = Store::open(&self.options.image_sources).map_err(Diagnostic::from)?;
        for (field, found) in boot_loaders::implied(self.config, &store) {
            let old = self.old.filter(|_| self.options.update != Update::All);
            let reference = old.and_then(|old| old.loader(field)).unwrap_or(&found).to_owned();
            if !old.is_some_and(|old| lock.copy_image(&reference, old))
                && let Some(digests) = store.digests(&reference).map_err(Diagnostic::from)?
            {
                lock.add_image(&reference, &digests);
            }
            lock.boot.push(LockedLoader {
                field: field.to_owned(),
                reference,
            });
        }
        Ok(())
    }

    /// Reports what differs from the earlier lock.
    fn report(&self, lock: &Lock) {
        let none = Lock::default();
        let old = self.old.unwrap_or(&none);
        for image in &lock.images {
            match old.image(&image.name) {
                None => self
                    .reporter
                    .info(&format!("locked {} to {}", image.name, image.digest)),
                Some(before) if before.digest != image.digest => self.reporter.info(&format!(
                    "{} moved from {} to {}",
                    image.name, before.digest, image.digest
                )),
                Some(_) => {}
            }
        }
        let (before, after) = (old.signers(), lock.signers());
        for (name, signers) in after
            .iter()
            .filter(|(name, signers)| before.get(*name) != Some(*signers))
        {
            match before.get(name) {
                None => self
                    .reporter
                    .info(&format!("{name} is signed by {}", signers.join(", "))),
                Some(before) => self.reporter.info(&format!(
                    "{name} is signed by {}, before by {}",
                    signers.join(", "),
                    before.join(", ")
                )),
            }
        }
        for image in &old.images {
            if lock.image(&image.name).is_none() {
                self.reporter.info(&format!("removed {}", image.name));
            }
        }
        for deb in &lock.debian {
            let is_same = |other: &&LockedDeb| {
                (&other.arch, &other.query, &other.name) == (&deb.arch, &deb.query, &deb.name) && *other != deb
            };
            if let Some(before) = old.debian.iter().find(is_same) {
                self.reporter.info(&format!(
                    "{} for {} moved from {} to {}",
                    deb.name, deb.arch, before.version, deb.version
                ));
            }
        }
    }
}
