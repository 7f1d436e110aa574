//! Images that the YAML names.

use std::collections::BTreeMap;

use super::packages::Packages;
use crate::arch::Arch;
use crate::config::{self, Config};
use crate::diagnostic::Diagnostic;
use crate::store::{Image, Store};

/// Images by canonical name.
pub type Images = BTreeMap<String, Image>;

/// Returns the fields that name images to be unpacked, with their values.
pub fn named(config: &Config) -> Vec<(String, &str)> {
    let mut named = vec![("kernel.image".to_owned(), config.kernel.image.as_str())];
    let init = config.init.iter().enumerate();
    named.extend(init.map(|(at, image)| (format!("init[{at}]"), image.as_str())));
    for (section, containers) in config.sections() {
        let containers = containers.iter().enumerate();
        named.extend(containers.map(|(at, image)| (format!("{section}[{at}].image"), image.image.as_str())));
    }
    let volumes = config.volumes.iter().enumerate();
    let volumes = volumes.filter(|(_, volume)| volume.format != "oci");
    named.extend(volumes.map(|(at, volume)| (format!("volumes[{at}].image"), volume.image.as_str())));
    named.retain(|(_, image)| !image.is_empty());
    named
}

/// Finds the images, apart from those of packages that are not built yet.
pub fn find(
    config: &Config,
    store: &Store,
    arch: Arch,
    packages: &Packages<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Images {
    let mut images = Images::new();
    let mut missing = Vec::new();
    for (field, image) in named(config) {
        let name = config::canonical(image);
        if images.contains_key(&name) || missing.contains(&name) || packages.is_pending(image) {
            continue;
        }
        match store.image(&name, arch) {
            Ok(image) => drop(images.insert(name, image)),
            Err(error) => {
                missing.push(name);
                errors.push(Diagnostic {
                    field,
                    ..Diagnostic::from(error)
                });
            }
        }
    }
    images
}
