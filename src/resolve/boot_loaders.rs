//! Images of boot loaders.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::packages::Packages;
use super::trust;
use crate::config::{Config, canonical};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::Support;
use crate::plan::boot_files::Loader;
use crate::plan::formats::{Format, Layout, RootMount};
use crate::request::Request;
use crate::store::{Image, Store};

/// Need for a boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Some kernels need it, and the one of the build is not known well enough.
    IfKernelNeeds,
    /// No output boots without it.
    Always,
}

/// Source of the image of a boot loader: the YAML, else a package of moby.
struct LoaderSource<'a> {
    /// Field of the YAML that names its image.
    field: &'static str,
    /// Value of the field.
    image: &'a str,
    /// Package in moby's source tree.
    package: &'static str,
    /// Purpose.
    purpose: &'static str,
}

fn loader_source(loader: Loader, config: &Config) -> LoaderSource<'_> {
    let boot = &config.boot;
    let (field, image, package, purpose) = match loader {
        Loader::Bios => ("boot.bios", &boot.bios, "syslinux", "BIOS boot"),
        Loader::Efi => ("boot.efi", &boot.efi, "systemd-boot", "UEFI boot"),
        Loader::Init => ("boot.initrd", &boot.initrd, "init", "a root filesystem on a disk"),
        Loader::RaspberryPi => ("boot.rpi", &boot.rpi, "rpi-firmware", "a Raspberry Pi"),
    };
    LoaderSource {
        field,
        image,
        package,
        purpose,
    }
}

/// Returns the boot loaders that the formats need whatever the kernel.
pub fn always(request: &Request) -> BTreeMap<Loader, Need> {
    let loaders = request.formats.iter().flat_map(|format| format.loaders(request.arch));
    loaders.map(|loader| (loader, Need::Always)).collect()
}

/// Returns whether some format mounts a root filesystem.
pub fn may_mount(request: &Request) -> bool {
    let mut formats = request.formats.iter();
    formats.any(|format| !request.root_mount(format).is_empty())
}

/// Returns the need of a format that mounts a root filesystem for moby's init.
pub fn init(format: &Format, config: &Config, support: &Support, mount: &RootMount) -> Option<Need> {
    // No kernel finds an ISO image by its label.
    let gives_root = config
        .kernel
        .cmdline
        .split_whitespace()
        .any(|word| word.starts_with("root="));
    let is_iso = matches!(format.layout, Layout::Iso(_));
    if support.needs_initrd(mount) || mount.needs_init() || is_iso && !gives_root {
        Some(Need::Always)
    } else if support.is_indexed() {
        None
    } else {
        Some(Need::IfKernelNeeds)
    }
}

/// Finds the images of boot loaders that a YAML does not name, and that are no packages of a source tree:
/// the fields that would name them, and their names.
pub fn implied(config: &Config, store: &Store) -> Vec<(&'static str, String)> {
    let loaders = [Loader::Bios, Loader::Efi, Loader::Init, Loader::RaspberryPi].into_iter();
    let found = loaders.filter_map(|loader| {
        let loader = loader_source(loader, config);
        let is_implied = loader.image.is_empty() && source(loader.package).is_none();
        let name = is_implied.then(|| store.last_of(&repository(loader.package)))??;
        Some((loader.field, name))
    });
    found.collect()
}

/// Returns the names of the boot loaders' images that are available.
pub fn available(request: &Request, config: &Config, store: &Store) -> Vec<String> {
    let mut packages = Packages::new(request);
    let loaders = [Loader::Bios, Loader::Efi, Loader::Init, Loader::RaspberryPi].into_iter();
    let found = loaders.filter_map(|loader| {
        let found = find((loader, Need::IfKernelNeeds), request, config, store, &mut packages);
        Some(found.ok()??.name)
    });
    found.collect()
}

/// Returns the repository of the images of a package in moby's source tree.
fn repository(package: &str) -> String {
    format!("docker.io/moby/{package}")
}

/// Finds the image of a boot loader: the one that the YAML names, else the package in moby's source
/// tree if the program is in it, else the last image of moby's name. None if the package is yet to
/// be built.
///
/// # Errors
/// An image that is not there, or is not signed as the policy requires.
pub fn find(
    (loader, wanted): (Loader, Need),
    request: &Request,
    config: &Config,
    store: &Store,
    packages: &mut Packages<'_>,
) -> Result<Option<Image>, Diagnostics> {
    let LoaderSource {
        field,
        image,
        package,
        purpose,
    } = loader_source(loader, config);
    let (origin, name) = match (image.is_empty(), source(package)) {
        (false, _) => (field, Some(canonical(image))),
        (true, Some(dir)) if wanted == Need::Always => ("", Some(packages.require(&dir)?)),
        (true, Some(dir)) => ("", packages.name_if_built(&dir)?),
        (true, None) => {
            let lock = request.lock.as_ref();
            let locked = lock.and_then(|lock| lock.loader(field)).map(str::to_owned);
            ("", locked.or_else(|| store.last_of(&repository(package))))
        }
    };
    let Some(name) = name else {
        let repository = repository(package);
        let mut error = Diagnostic::error(format!(
            "cannot find a boot loader for {purpose}: no image {repository} in the layouts or the cache"
        ))
        .help(format!(
            "run `moby pkg build pkg/{package}{}` in moby's source tree, or name an image under `{field}` in the YAML",
            request.arch.flag()
        ));
        error.help.extend(crate::installed::help(&repository));
        return Err(error.into());
    };
    if packages.is_pending(&name) {
        return Ok(None);
    }
    let field = |error| Diagnostic {
        field: origin.to_owned(),
        ..error
    };
    let found = store.image(&name, request.arch).map_err(|error| field(error.into()))?;
    if let Some(policy) = &request.policy {
        trust::check_image(policy, &found, store.layouts()).map_err(field)?;
    }
    Ok(Some(found))
}

/// Finds the directory of a package in the source tree that the program was built in.
fn source(package: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let ancestors = program.ancestors().skip(1).take(5);
    let mut packages = ancestors.map(|dir| dir.join("pkg").join(package));
    packages.find(|dir| dir.join("build.yml").is_file())
}
