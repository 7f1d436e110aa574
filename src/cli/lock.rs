//! `moby lock`, and the lock of a build.

use std::path::{Path, PathBuf};

use clap::Args;
use extents::{Extents, emit};

use super::inputs::Inputs;
use super::terminal::TerminalReporter;
use super::{Environment, Failure, check, host_arch};
use crate::arch::Arch;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lock::{self, Lock};
use crate::reporter::Reporter;
use crate::resolve::lock::{Options, Update};
use crate::resolve::{self, packages};
use crate::trust::Policy;

/// Arguments of `moby lock`.
#[derive(Debug, Args)]
pub struct LockCommand {
    /// YAML files, merged from left to right as in `moby build`. The lock file is written next to
    /// the last one
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Update all locked images and Debian packages, or only those of an image name or `@pkg:`
    /// reference; repeatable
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    update: Vec<String>,
    /// Architecture whose Debian packages are locked; repeatable [default: the host's]. Images are
    /// locked for every architecture
    #[arg(long, value_name = "ARCH")]
    arch: Vec<Arch>,
    /// Read images from this OCI layout directory, OCI archive or `docker save` tar, before the
    /// cache; repeatable
    #[arg(long, value_name = "PATH")]
    layout: Vec<PathBuf>,
    /// Lock only images that this policy file allows, and their signers, in place of the policy that the
    /// YAML names
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Take Debian packages from this directory of .deb files instead of running apt-get
    #[arg(long, value_name = "DIR")]
    debs: Option<PathBuf>,
    /// Do not contact registries: use only images in --layout and the cache
    #[arg(long)]
    offline: bool,
}

impl LockCommand {
    pub fn run(self, environment: Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        let Some(path) = lock::path(&self.files) else {
            let message = "cannot lock standard input: the lock is written beside the YAML file";
            let help = "save the YAML to a file";
            return Err(Failure::Usage(Diagnostic::error(message).help(help).into()));
        };
        let config = check::load(&self.files)?;
        let old = lock::read(&path).map_err(Diagnostics::from)?;
        let policy = self.policy.or_else(|| config.policy());
        let policy = policy.map(|path| Policy::read(&path)).transpose();
        let options = Options {
            arches: if self.arch.is_empty() {
                host_arch().parse().into_iter().collect()
            } else {
                self.arch
            },
            #[cfg(feature = "registry")]
            registry: environment.registry.access(self.offline, false),
            image_sources: environment.image_sources(&self.layout),
            debs: self.debs,
            policy: policy.map_err(Failure::Usage)?,
            update: if self.update.iter().any(String::is_empty) {
                Update::All
            } else {
                Update::Names(self.update)
            },
        };
        let new = resolve::lock::lock(&config, old.as_ref(), &options, reporter)?;
        if old.as_ref() == Some(&new) {
            reporter.info(&format!("{} is up to date", path.display()));
            return Ok(());
        }
        write(&new, &path)?;
        reporter.info(&format!("wrote {}", path.display()));
        Ok(())
    }
}

/// Writes a lock file.
fn write(lock: &Lock, path: &Path) -> Result<(), Diagnostic> {
    emit::to_path(&Extents::from_bytes(lock.text().into_bytes()), path).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        Diagnostic::error(message).caused_by(error)
    })
}

/// Reads the lock of a build, if there is one. With `is_locked`, it must exist and match the YAML.
///
/// # Errors
/// A file that is not a lock, and every difference between it and the YAML if it must fit.
pub fn of_build(
    files: &[PathBuf],
    config: &Config,
    is_locked: bool,
    inputs: &Inputs,
    reporter: &TerminalReporter,
) -> Result<Option<Lock>, Failure> {
    let path = lock::path(files);
    let found = inputs.lock(files)?;
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let command = format!("moby lock {}", names.join(" "));
    let (Some(path), Some(lock)) = (path, found) else {
        if is_locked {
            let error = match lock::path(files) {
                Some(path) => Diagnostic::error(format!("--locked needs a lock: {} does not exist", path.display()))
                    .help(format!("run `{command}`")),
                None => Diagnostic::error("cannot use --locked with standard input")
                    .help("save the YAML to a file, then run `moby lock FILE`"),
            };
            return Err(error.into());
        }
        return Ok(None);
    };
    let tagged = packages::tag(config, Some(&lock)).map_err(Failure::Usage)?;
    let mut differences = lock.differences(config, &tagged, &path);
    if is_locked && differences.is_empty() && !lock.matches(config) {
        let message = format!("the configuration has changed since {} was written", path.display());
        differences.push(Diagnostic::error(message));
    }
    if differences.is_empty() {
        return Ok(Some(lock));
    }
    let help = format!("run `{command}`");
    if is_locked {
        let errors = differences.into_iter().map(|error| error.help(help.clone()));
        return Err(Failure::Work(config.locate_all(errors.collect())));
    }
    for difference in differences {
        reporter.notice(&Diagnostic::note(difference.message).help(help.clone()));
    }
    Ok(Some(lock))
}
