//! Signatures that the policy requires.

use super::images::{self, Images};
use super::packages::Packages;
use crate::config::{Config, canonical};
use crate::diagnostic::Diagnostic;
use crate::oci::Layout;
use crate::request::Request;
use crate::store::{Image, Store};
use crate::trust::policy::Action;
use crate::trust::{self, Policy};

/// Finds images that the policy rejects, and images that LinuxKit's form of `trust:` names and that the
/// policy accepts without a signature. Neither needs the image.
pub fn check_names(request: &Request, config: &Config) -> Vec<Diagnostic> {
    let Some(policy) = &request.policy else {
        return Vec::new();
    };
    let mut errors = Vec::new();
    for (field, image) in config.images() {
        let name = canonical(&image);
        let error = match policy.action(&name) {
            Action::Reject => {
                let place = policy.place(&name);
                trust::Error::Rejected { image: name, place }.into()
            }
            Action::AcceptUnsigned if config.trust.names(&name) => {
                let message = format!("`trust` names {name}, but {} accepts it unsigned", policy.place(&name));
                Diagnostic::error(message)
                    .help("add a rule with `keys:` or `keyless:` for it above that one, or remove it from `trust`")
            }
            _ => continue,
        };
        errors.push(Diagnostic { field, ..error });
    }
    errors
}

/// Removes the images that are rejected or not signed as the policy requires, and reports them.
pub fn check(
    request: &Request,
    config: &Config,
    store: &Store,
    packages: &Packages<'_>,
    images: &mut Images,
) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let Some(policy) = &request.policy else {
        return errors;
    };
    for (field, image) in images::named(config) {
        let name = canonical(image);
        if let Some(found) = images.get(&name)
            && let Err(error) = check_image(policy, found, store.layouts())
        {
            images.remove(&name);
            errors.push(Diagnostic { field, ..error });
        }
    }
    let volumes = config.volumes.iter().enumerate();
    for (at, volume) in volumes.filter(|(_, volume)| volume.format == "oci") {
        let name = canonical(&volume.image);
        if packages.is_pending(&name) {
            continue;
        }
        // It has several platforms, all of which the signature of the index covers.
        let Some(digests) = store.top_digests(&name) else {
            continue;
        };
        if let Err(error) = trust::verify(policy, &name, &digests, store.layouts()) {
            let field = format!("volumes[{at}].image");
            errors.push(Diagnostic { field, ..error.into() });
        }
    }
    errors
}

/// Verifies an image as the policy requires.
///
/// # Errors
/// An image that is rejected or not signed.
pub fn check_image(policy: &Policy, image: &Image, layouts: &[Layout]) -> Result<(), Diagnostic> {
    let verified = trust::verify(policy, &image.name, &image.digests, layouts);
    verified.map(drop).map_err(|mut error| {
        if let trust::Error::Unsigned { arch, .. } = &mut error {
            *arch = image.config.architecture().to_string().parse().ok();
        }
        error.into()
    })
}
