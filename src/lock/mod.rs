//! Lock files: `NAME.lock` beside a YAML file, with the digests of its images and the versions of the
//! Debian packages in its packages.
//!
//! ```text
//! YAML ──resolve::lock──▶ Lock ──▶ NAME.lock ──▶ Lock ──▶ pins of the store, Debian packages to fetch
//! ```

mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::arch::Arch;
use crate::config::{Config, canonical};
use crate::debian::{LockedDeb, Query};
use crate::diagnostic::{Diagnostic, near};
use crate::oci::{ImageDigests, digest};
use crate::store::{self, Pin};

pub use text::{parse, read};

/// Version of the format.
const VERSION: u32 = 1;
/// Prefix of a reference to a package directory.
const PACKAGE: &str = "@pkg:";

/// Content of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Boot loaders that the YAML does not name.
    pub boot: Vec<LockedLoader>,
    /// Digest of the merged configuration.
    pub config: String,
    /// Debian packages in the packages.
    pub debian: Vec<LockedDeb>,
    /// Images.
    pub images: Vec<LockedImage>,
    /// Packages of the YAML.
    pub packages: Vec<LockedPackage>,
    /// Manifests of the images.
    pub platforms: Vec<LockedPlatform>,
    /// Signers of the images, as far as a policy required them.
    #[serde(default)]
    pub signers: Vec<LockedSigner>,
    /// Version of the format.
    pub version: u32,
}

/// Image of a boot loader that the YAML does not name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedLoader {
    /// Field of the YAML that would name it: `boot.bios`.
    pub field: String,
    /// Canonical name of the image.
    pub reference: String,
}

/// Image of a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// Name as the YAML has it.
    pub name: String,
    /// Digest of the index or manifest.
    pub digest: String,
    /// Media type of the index or manifest.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// Canonical name.
    pub reference: String,
    /// Size of the index or manifest, in bytes.
    pub size: u64,
}

/// Package of a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Reference as the YAML has it: `@pkg:DIR`.
    pub name: String,
    /// Name of its image, whose tag is a hash of the sources.
    pub reference: String,
}

/// Image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPlatform {
    /// Name of the image as the YAML has it.
    pub name: String,
    /// Platform: `linux/amd64`.
    pub platform: String,
    /// Digest of the configuration, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Digest of the manifest.
    pub digest: String,
    /// Size of the manifest, in bytes.
    pub size: u64,
}

/// Signer of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSigner {
    /// Name of the image as the YAML has it.
    pub name: String,
    /// Fingerprint of the key, `sha256:` and hexadecimal digits, or identity of a keyless signer.
    pub signer: String,
}

/// Returns the path of the lock of YAML files: beside the last one, with the extension `lock`.
/// None for standard input.
pub fn path(files: &[PathBuf]) -> Option<PathBuf> {
    let last = files.last().filter(|file| file.as_os_str() != "-")?;
    Some(last.with_extension("lock"))
}

/// Computes the digest of a merged configuration.
pub fn config_digest(config: &Config) -> String {
    // All keys are strings, and all numbers finite.
    let bytes = serde_json::to_vec(config).unwrap_or_default();
    digest(Sha256::new_with_prefix(bytes))
}

/// Returns the images that a configuration names, each name once, as it is written, with the first field
/// that has it.
pub fn image_names(config: &Config) -> BTreeMap<String, String> {
    names(config, false)
}

/// Returns the packages that a configuration names, like [`image_names`].
pub fn package_names(config: &Config) -> BTreeMap<String, String> {
    names(config, true)
}

fn names(config: &Config, are_packages: bool) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (field, image) in config.images() {
        if image.starts_with(PACKAGE) == are_packages {
            names.entry(image).or_insert(field);
        }
    }
    names
}

impl Lock {
    /// Creates an empty lock of a configuration.
    pub fn new(config: &Config) -> Self {
        Lock {
            config: config_digest(config),
            version: VERSION,
            ..Lock::default()
        }
    }

    /// Adds an image under the name that the YAML has for it.
    pub fn add_image(&mut self, name: &str, digests: &ImageDigests) {
        self.images.push(LockedImage {
            name: name.to_owned(),
            digest: digests.digest.clone(),
            media_type: digests.media_type.clone(),
            reference: canonical(name),
            size: digests.size,
        });
        self.platforms
            .extend(digests.platforms.iter().map(|platform| LockedPlatform {
                name: name.to_owned(),
                platform: platform.platform.clone(),
                config: platform.config.clone(),
                digest: platform.digest.clone(),
                size: platform.size,
            }));
    }

    /// Copies an image of another lock; false if it has none of the name.
    pub fn copy_image(&mut self, name: &str, from: &Lock) -> bool {
        let Some(image) = from.image(name) else { return false };
        self.images.push(image.clone());
        let platforms = from.platforms.iter().filter(|platform| platform.name == name);
        self.platforms.extend(platforms.cloned());
        let signers = from.signers.iter().filter(|signer| signer.name == name);
        self.signers.extend(signers.cloned());
        true
    }

    /// Returns the signers of the images, by canonical name.
    pub fn signers(&self) -> BTreeMap<String, Vec<String>> {
        let mut signers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for signer in &self.signers {
            let of = signers.entry(canonical(&signer.name)).or_default();
            of.push(signer.signer.clone());
        }
        signers
    }

    /// Returns the digests of an image: of its index, then of its manifests.
    pub fn digests(&self, name: &str) -> Vec<String> {
        let top = self.image(name).map(|image| image.digest.clone());
        let platforms = self.platforms.iter().filter(|platform| platform.name == name);
        let mut digests: Vec<String> = top
            .into_iter()
            .chain(platforms.map(|platform| platform.digest.clone()))
            .collect();
        // A manifest without an index is its own platform.
        digests.dedup();
        digests
    }

    /// Sorts the items and removes duplicates.
    pub fn sort(&mut self) {
        self.boot.sort();
        self.boot.dedup();
        self.debian.sort();
        self.debian.dedup();
        self.images.sort();
        self.images.dedup();
        self.packages.sort();
        self.packages.dedup();
        self.platforms.sort();
        self.platforms.dedup();
        self.signers.sort();
        self.signers.dedup();
    }

    /// Finds an image by its name in the YAML.
    pub fn image(&self, name: &str) -> Option<&LockedImage> {
        self.images.iter().find(|image| image.name == name)
    }

    /// Returns the name of the image of a package, by its reference in the YAML.
    pub fn package(&self, name: &str) -> Option<&str> {
        let found = self.packages.iter().find(|package| package.name == name);
        found.map(|package| package.reference.as_str())
    }

    /// Returns the image of a boot loader that the YAML does not name.
    pub fn loader(&self, field: &str) -> Option<&str> {
        let found = self.boot.iter().find(|loader| loader.field == field);
        found.map(|loader| loader.reference.as_str())
    }

    /// Returns the Debian packages of a query.
    pub fn debian_of(&self, query: &Query, arch: Arch) -> Vec<LockedDeb> {
        let text = query.to_string();
        let is_of_query = |deb: &&LockedDeb| deb.query == text && deb.arch == arch.name();
        self.debian.iter().filter(is_of_query).cloned().collect()
    }

    /// Returns the pins of the store.
    pub fn pins(&self) -> BTreeMap<String, Pin> {
        let pin = |image: &LockedImage| {
            let own = self.platforms.iter().filter(|platform| platform.name == image.name);
            let pin = Pin {
                digest: image.digest.clone(),
                manifests: own.clone().map(|platform| platform.digest.clone()).collect(),
                configs: own.filter_map(|platform| platform.config.clone()).collect(),
            };
            (store::pin_key(&image.reference), pin)
        };
        self.images.iter().map(pin).collect()
    }

    /// Returns whether the lock was made of exactly this configuration.
    pub fn matches(&self, config: &Config) -> bool {
        self.config == config_digest(config)
    }

    /// Lists the images and packages in which the lock and a configuration differ. The packages have the
    /// image names of `tagged`; `file` is the lock's name.
    pub fn differences(&self, config: &Config, tagged: &Config, file: &Path) -> Vec<Diagnostic> {
        let file = file.display();
        let mut found = Vec::new();
        let (images, packages) = (image_names(config), package_names(config));
        let missing = |name: &str, field: &str, known: Vec<&str>| {
            let mut error = Diagnostic::field(field, format!("{name} is not in {file}"));
            let near = near(name, known.into_iter());
            error
                .help
                .extend(near.map(|near| format!("did you mean `{near}`, which is locked?")));
            error
        };
        for (name, field) in &images {
            if self.image(name).is_none() {
                let unnamed = self.images.iter().map(|image| image.name.as_str());
                let unnamed = unnamed.filter(|name| !images.contains_key(*name));
                found.push(missing(name, field, unnamed.collect()));
            }
        }
        let names: BTreeMap<String, String> = tagged.images().into_iter().collect();
        for (name, field) in &packages {
            let now = names.get(field).map(String::as_str).unwrap_or_default();
            match self.package(name) {
                None => found.push(missing(name, field, Vec::new())),
                Some(locked) if locked != now => {
                    let message = format!("{name} has changed since {file} was written: locked {locked}, now {now}");
                    found.push(Diagnostic::field(field.clone(), message));
                }
                Some(_) => {}
            }
        }
        let is_loader = |image: &LockedImage| self.boot.iter().any(|loader| loader.reference == image.name);
        let surplus = self.images.iter().filter(|image| !is_loader(image));
        let surplus = surplus
            .map(|image| &image.name)
            .filter(|name| !images.contains_key(*name));
        let more = self.packages.iter().map(|package| &package.name);
        for name in surplus.chain(more.filter(|name| !packages.contains_key(*name))) {
            let message = format!("{file} locks {name}, which the YAML does not use");
            found.push(Diagnostic::error(message));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_beside_the_last_file() {
        let of = |files: &[&str]| path(&files.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["a/base.yml", "b/machine.yml"]), Some("b/machine.lock".into()));
        assert_eq!(of(&["-"]), None);
        assert_eq!(of(&[]), None);
    }
}
