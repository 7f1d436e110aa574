//! From references to what they name: packages that are built, images, boot loaders, firmware.
//!
//! Every error that can be known without reading a layer is found here, and all of them are
//! reported together. Only a kernel that was never seen has its layer read: see [`kernel`].

mod boot_loaders;
mod check;
mod images;
pub mod kernel;
pub mod lock;
pub mod packages;
#[cfg(feature = "registry")]
mod pull;
pub mod sources;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::boot_files::Loader;
use crate::reporter::Reporter;
use crate::request::Request;
use crate::store::{self, Image, Store};
use boot_loaders::Need;
pub use images::{Images, named};
use packages::Packages;

/// A request whose references are resolved.
#[derive(Debug)]
pub struct Resolved {
    /// The YAML, with image names in place of packages.
    pub config: Config,
    /// Sources of the images.
    pub store: Store,
    /// Images by canonical name.
    pub images: Images,
    /// Images of the boot loaders, or the reasons why there are none.
    pub boot_loaders: BTreeMap<Loader, Result<Image, Diagnostics>>,
}

/// Returns the names of the boot loaders' images: those that the formats of a request need, or without
/// formats all that are available.
pub fn loader_names(request: &Request, resolved: &Resolved) -> Vec<String> {
    if request.formats.is_empty() {
        return boot_loaders::available(request, &resolved.config, &resolved.store);
    }
    let found = resolved.boot_loaders.values().flatten();
    found.map(|image| image.name.clone()).collect()
}

/// Resolves the references of a request.
///
/// # Errors
/// Every reference that names nothing, every output that cannot be created, and every format that
/// the kernel or the options do not allow.
pub fn resolve(request: &Request, reporter: &dyn Reporter) -> Result<Resolved, Diagnostics> {
    let mut packages = Packages::new(request);
    #[cfg(feature = "registry")]
    let pulls = pull::Pulls::find(request);
    #[cfg(feature = "registry")]
    packages.await_images(pulls.names());
    // Images take long to pull, and packages to build: before that everything else is known to be
    // right.
    let (resolved, errors) = survey(request, &mut packages, reporter);
    if !errors.is_empty() {
        return Err(request.config.locate_all(errors));
    }
    match resolved {
        Some(resolved) if packages.is_complete() => {
            resolved.record_use();
            return Ok(resolved);
        }
        resolved => drop(resolved),
    }
    #[cfg(feature = "registry")]
    pulls
        .pull(request, reporter)
        .map_err(|errors| request.config.locate_all(errors))?;
    packages.images_arrived();
    packages
        .build(reporter)
        .map_err(|errors| request.config.locate_all(errors))?;
    let (resolved, errors) = survey(request, &mut packages, reporter);
    let resolved = resolved
        .filter(|_| errors.is_empty())
        .ok_or_else(|| request.config.locate_all(errors))?;
    resolved.record_use();
    Ok(resolved)
}

/// Resolves everything that needs no pull or build. Packages to build are queued in `packages`.
fn survey(
    request: &Request,
    packages: &mut Packages<'_>,
    reporter: &dyn Reporter,
) -> (Option<Resolved>, Vec<Diagnostic>) {
    let mut errors = check::request(request);
    let config = packages.replace(&request.config, &mut errors);
    errors.extend(trust::check_names(request, &config));
    let store = match Store::open(&request.image_sources) {
        Ok(store) => store,
        Err(error) => {
            errors.push(error.into());
            return (None, errors);
        }
    };
    let mut images = images::find(&config, &store, request.arch, packages, &mut errors);
    // An image whose signatures do not satisfy the policy is not read further.
    errors.extend(trust::check(request, &config, &store, packages, &mut images));
    let mut wanted = boot_loaders::always(request);
    if let Some(support) = kernel::support(request, &config, &images, reporter) {
        for format in &request.formats {
            let mount = request.root_mount(format);
            if mount.is_empty() {
                continue;
            }
            match support.check(&mount) {
                Err(error) if support.is_final(&mount) => errors.push(Diagnostic {
                    field: "kernel.image".into(),
                    ..error.into()
                }),
                _ => {
                    let init = boot_loaders::init(format, &config, &support, &mount);
                    wanted.extend(init.map(|wanted| (Loader::Init, wanted)));
                }
            }
        }
    } else if boot_loaders::may_mount(request) {
        wanted.entry(Loader::Init).or_insert(Need::IfKernelNeeds);
    }
    let mut found = BTreeMap::new();
    for (loader, wanted) in wanted {
        match boot_loaders::find((loader, wanted), request, &config, &store, packages) {
            Err(found) if wanted == Need::Always => errors.extend(found.0),
            Ok(None) => {}
            Ok(Some(image)) => drop(found.insert(loader, Ok(image))),
            Err(missing) => drop(found.insert(loader, Err(missing))),
        }
    }
    dedup(&mut errors);
    let resolved = Resolved {
        config,
        store,
        images,
        boot_loaders: found,
    };
    (Some(resolved), errors)
}

/// Removes errors that several formats have.
fn dedup(errors: &mut Vec<Diagnostic>) {
    let mut known: Vec<(String, String)> = Vec::new();
    errors.retain(|error| {
        let key = (error.field.clone(), error.message.clone());
        let is_new = !known.contains(&key);
        known.push(key);
        is_new
    });
}

impl Resolved {
    /// Records in the cache that its images are used.
    fn record_use(&self) {
        let named = self.config.images();
        let named = named.iter().map(|(_, image)| config::canonical(image));
        let loaders = self.boot_loaders.values().flatten().map(|image| image.name.clone());
        let names: BTreeSet<String> = named.chain(loaders).collect();
        self.store.record_use(names.iter().map(String::as_str));
    }

    /// Attaches the line of the YAML that names an image to an error about it.
    pub fn locate(&self, error: &store::Error) -> Diagnostics {
        let fields = named(&self.config);
        let named = |image: &str| error.image() == Some(config::canonical(image).as_str());
        let field = fields.into_iter().find(|(_, image)| named(image));
        self.config.locate(Diagnostic {
            field: field.map(|(field, _)| field).unwrap_or_default(),
            ..Diagnostic::from(error)
        })
    }
}
