//! YAML files and locks of a build: on disk, else in a bundle.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use extents::Slice;

use super::Failure;
use crate::bounded;
use crate::bundle::{Bundle, Kind};
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lock::{self, Lock};
use crate::reporter::Reporter;
use crate::trust::Policy;

/// Source of a build's files: the disk, or a bundle.
#[derive(Debug, Default)]
pub struct Inputs {
    bundle: Option<Bundle>,
}

impl Inputs {
    /// Finds the bundle that has the YAML files which are not on disk.
    ///
    /// # Errors
    /// Layouts that cannot be read.
    pub fn find(files: &[PathBuf], layouts: &[PathBuf]) -> Result<Inputs, Failure> {
        let is_missing = |file: &&PathBuf| file.as_os_str() != "-" && !file.exists();
        let Some(missing) = files.iter().find(is_missing) else {
            return Ok(Inputs::default());
        };
        let path = missing.display().to_string();
        for layout in layouts {
            if let Some(bundle) = Bundle::open(layout)?
                && bundle.has(Kind::Yaml, &path)
            {
                return Ok(Inputs { bundle: Some(bundle) });
            }
        }
        Ok(Inputs::default())
    }

    /// Reads a file of the bundle; `None` if it is on disk.
    ///
    /// # Errors
    /// A file that is corrupt.
    pub fn read(&self, kind: Kind, file: &Path) -> Result<Option<Vec<u8>>, Diagnostic> {
        let Some(bundle) = self.bundle.as_ref().filter(|_| !file.exists()) else {
            return Ok(None);
        };
        let path = file.display().to_string();
        let found = bundle.file(kind, &path)?;
        let bytes = found
            .map(|slice| extents::Extents::from_slice(slice).to_vec())
            .transpose();
        bytes.map_err(|error| Diagnostic::error(format!("cannot read {path}: {error}")).caused_by(error))
    }

    /// Reads the lock of YAML files, from where the last of them is.
    ///
    /// # Errors
    /// A file that is not a lock.
    pub fn lock(&self, files: &[PathBuf]) -> Result<Option<Lock>, Failure> {
        let Some(path) = lock::path(files) else { return Ok(None) };
        let is_bundled = self.bundle.is_some() && files.last().is_some_and(|file| !file.exists());
        let found = if is_bundled {
            let bytes = self.read(Kind::Lock, &path).map_err(Diagnostics::from)?;
            bytes
                .map(|bytes| lock::parse(&bytes, &path.display().to_string()))
                .transpose()
        } else {
            lock::read(&path)
        };
        Ok(found.map_err(Diagnostics::from)?)
    }

    /// Reads the policy of a build: the one given, else the one that the YAML names, else the one in the
    /// bundle. The signers in the lock count if lock and policy are both on disk, or both in the bundle.
    ///
    /// # Errors
    /// Every mistake in the policy.
    pub fn policy(
        &self,
        given: Option<&Path>,
        config: &Config,
        lock: Option<&Lock>,
        reporter: &dyn Reporter,
    ) -> Result<Option<Policy>, Failure> {
        let locked = || lock.map(Lock::signers).unwrap_or_default();
        let own = config.policy();
        let on_disk = given.or(own.as_deref().filter(|path| path.exists()));
        if let (None, Some(bundle)) = (on_disk, &self.bundle) {
            let bundled = bundle.manifest.policy.as_ref().map(PathBuf::from).or(own.clone());
            if let Some(path) = bundled.filter(|path| bundle.has(Kind::Policy, &path.display().to_string())) {
                let note = format!("verifying signatures with {} of the bundle", path.display());
                let help = "to use a policy of your own, pass --policy FILE";
                reporter.notice(&Diagnostic::note(note).help(help));
                let read = |path: &Path, max: u64| bundled_file(bundle, path, max);
                let policy = Policy::read_by(&path, &read).map_err(Failure::Usage)?;
                return Ok(Some(policy.with_locked(locked())));
            }
        }
        let path = given.map(Path::to_owned).or(own);
        let policy = path.map(|path| Policy::read(&path)).transpose();
        let policy = policy.map_err(Failure::Usage)?;
        Ok(match &self.bundle {
            None => policy.map(|policy| policy.with_locked(locked())),
            Some(_) => policy,
        })
    }

    /// Returns the files that the YAML names, by their paths in it; `None` if the YAML is on disk.
    ///
    /// # Errors
    /// Files that are corrupt.
    pub fn sources(&self) -> Result<Option<BTreeMap<String, Slice>>, Failure> {
        let Some(bundle) = &self.bundle else { return Ok(None) };
        let mut sources = BTreeMap::new();
        for file in bundle.manifest.files.iter().filter(|file| file.kind == Kind::Source) {
            sources.insert(file.path.clone(), bundle.content(file)?);
        }
        Ok(Some(sources))
    }
}

/// Reads a policy or key of a bundle.
fn bundled_file(bundle: &Bundle, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let name = path.display().to_string();
    for kind in [Kind::Policy, Kind::Key] {
        let found = bundle.file(kind, &name).map_err(io::Error::other)?;
        if let Some(slice) = found {
            return bounded::from(&mut extents::Extents::from_slice(slice).reader(), max);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
