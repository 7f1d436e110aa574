//! Images that are pulled, since the cache lacks them or their tags are to be refreshed.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::canonical;
use crate::diagnostic::Diagnostic;
use crate::oci::registry::{Layers, Platforms};
use crate::reporter::Reporter;
use crate::request::Request;
use crate::store::{self, Store, Unpacker};
use crate::trust;

/// An image to pull.
#[derive(Debug)]
struct Wanted {
    /// Field of the YAML that names it.
    field: String,
    /// Reference to pull: the name, with the digest of the lock.
    reference: String,
    platforms: Platforms,
    /// Error about the image as the layouts have it, if they have it for other architectures.
    found: Option<store::Error>,
    /// Digests whose signatures are pulled, of an image in the cache.
    signatures: Vec<String>,
}

/// Images to pull, by canonical name.
#[derive(Debug, Default)]
pub struct Pulls(BTreeMap<String, Wanted>);

impl Pulls {
    /// Finds the images of a request that are to be pulled: none if it has no registry client.
    pub fn find(request: &Request) -> Self {
        let mut pulls = BTreeMap::new();
        let Some(registry) = &request.registry else {
            return Pulls(pulls);
        };
        // A store that cannot be opened is reported later.
        let Ok(store) = Store::open(&request.image_sources) else {
            return Pulls(pulls);
        };
        let mut seen = BTreeSet::new();
        for (field, image) in request.config.images() {
            let name = canonical(&image);
            if image.starts_with("@pkg:") || !seen.insert(name.clone()) {
                continue;
            }
            let is_layout = request
                .config
                .volumes
                .iter()
                .any(|volume| volume.format == "oci" && volume.image == image);
            let pin = request.image_sources.pins.get(&store::pin_key(&name));
            let is_refreshed = registry.refresh && !name.contains('@') && pin.is_none();
            let looked_up = lookup(&store, &name, request, is_layout);
            let signatures = looked_up.as_ref().ok().and_then(|digests| {
                let verified = trust::verify(request.policy.as_ref()?, &name, digests, store.layouts());
                let is_unsigned = matches!(
                    verified,
                    Err(trust::Error::Unsigned { .. } | trust::Error::Refused { .. })
                );
                is_unsigned.then(|| digests.clone())
            });
            let found = looked_up.err();
            let is_missing = matches!(
                found,
                Some(store::Error::NotFound { .. } | store::Error::Architecture { .. })
            );
            // Corrupt images are not pulled again: the user should know of them.
            if is_refreshed || is_missing || signatures.is_some() {
                let platforms = if is_layout {
                    Platforms::All
                } else {
                    Platforms::Linux(vec![request.arch])
                };
                let found = found.filter(|error| matches!(error, store::Error::Architecture { .. }));
                let wanted = Wanted {
                    field,
                    reference: pin.map_or_else(|| name.clone(), |pin| store::with_digest(&name, &pin.digest)),
                    platforms,
                    found,
                    signatures: signatures.filter(|_| !is_refreshed).unwrap_or_default(),
                };
                pulls.insert(name, wanted);
            }
        }
        Pulls(pulls)
    }

    /// Lists the canonical names of the images.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Pulls the images into the cache.
    ///
    /// # Errors
    /// A user without a cache directory, and each image that cannot be pulled.
    pub fn pull(&self, request: &Request, reporter: &dyn Reporter) -> Result<(), Vec<Diagnostic>> {
        let (Some(registry), false) = (&request.registry, self.0.is_empty()) else {
            return Ok(());
        };
        let Some(cache) = &request.image_sources.cache else {
            return Err(vec![store::no_cache()]);
        };
        let mut errors = Vec::new();
        let unpacker = Unpacker::new(cache.clone());
        for (name, wanted) in &self.0 {
            if !wanted.signatures.is_empty() {
                let pulled = registry
                    .client
                    .pull_signatures(name, &wanted.signatures, cache, reporter);
                if let Err(error) = pulled {
                    reporter.warn(&format!("cannot pull the signatures of {name}: {error}"));
                }
                continue;
            }
            // A volume takes an image as it is stored. Under a policy, nothing is decompressed before its signatures
            // are verified.
            let layers = match wanted.platforms {
                Platforms::Linux(_) if request.policy.is_none() => Some(&unpacker as &dyn Layers),
                Platforms::Linux(_) | Platforms::All => None,
            };
            match registry
                .client
                .pull(&wanted.reference, &wanted.platforms, cache, layers, reporter)
            {
                Ok(pulled) => reporter.info(&format!("pulled {}", store::with_digest(name, &pulled.digest))),
                Err(error) => {
                    let message = match &wanted.found {
                        Some(found) => format!("{found}; cannot pull it: {error}"),
                        None => format!("cannot pull {name}: {error}"),
                    };
                    let mut diagnostic = Diagnostic::field(wanted.field.clone(), message);
                    diagnostic.help.extend(wanted.found.iter().flat_map(store::Error::help));
                    diagnostic.help.extend(error.help());
                    diagnostic.help.dedup();
                    errors.push(diagnostic);
                }
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Looks for an image in the layouts, and returns the digests whose signatures count.
fn lookup(store: &Store, name: &str, request: &Request, is_layout: bool) -> Result<Vec<String>, store::Error> {
    if is_layout {
        store.graph(name, &|_| None)?;
        Ok(store.top_digests(name).unwrap_or_default())
    } else {
        Ok(store.image(name, request.arch)?.digests)
    }
}
