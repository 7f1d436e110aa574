//! Provenance: an in-toto statement with a predicate of SLSA (SLSA Provenance v1).
//!
//! It has no time and no identifier of the invocation, so that repeated builds have equal ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use extents::{Extents, FileBlob};
use serde_json::{Map, Value, json};
use tree::Kind;

use super::Subject;
use crate::config::canonical;
use crate::diagnostic::Diagnostic;
use crate::plan::formats::{Filesystem, Root};
use crate::request::Request;
use crate::resolve::{Resolved, sources};
use crate::store::Image;
use crate::system::System;

/// Suffix of the name of the signed provenance, a bundle of Sigstore.
#[cfg(feature = "sign")]
pub const BUNDLE: &str = ".provenance.sigstore.json";
const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// Meaning of the parameters.
const BUILD_TYPE: &str = "https://github.com/moby-rs/moby/blob/main/docs/reference/provenance.md#build-type-v1";
/// Whoever runs moby: nothing separates the builder from its user (SLSA Build L1).
const BUILDER: &str = "https://github.com/moby-rs/moby";

/// Builds the provenance of outputs. `byproducts` are the other documents about them.
///
/// # Errors
/// Files of the host that cannot be read again.
pub fn document(
    request: &Request,
    resolved: &Resolved,
    system: &System,
    outputs: &[Subject],
    byproducts: &[Subject],
) -> Result<Vec<u8>, Diagnostic> {
    let configuration = serde_json::to_value(&resolved.config).map_err(|error| Diagnostic::error(error.to_string()))?;
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "configuration": configuration,
                "options": options(request),
            },
            "resolvedDependencies": dependencies(request, resolved, system)?,
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"moby": env!("CARGO_PKG_VERSION")}},
            "byproducts": byproducts.iter().map(Subject::to_json).collect::<Vec<_>>(),
        },
    });
    Ok(super::text(&super::statement(outputs, PREDICATE_TYPE, predicate)))
}

/// Lists the options of the build that change its outputs, other than by default.
fn options(request: &Request) -> Value {
    let mut options = Map::new();
    let formats: Vec<&str> = request.formats.iter().map(|format| format.name).collect();
    options.insert("name".into(), request.name.as_str().into());
    options.insert("arch".into(), request.arch.name().into());
    options.insert("format".into(), formats.into());
    options.insert("SOURCE_DATE_EPOCH".into(), request.time.into());
    let given = [
        ("compress", request.compression.map(|value| value.to_string())),
        ("compress-disk", request.disk_compression.map(|value| value.to_string())),
        ("root", request.root.map(|root| root_name(root).to_owned())),
        ("size", request.size.map(|value| value.to_string())),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    options.extend(given.map(|(name, value)| (name.to_owned(), value.into())));
    for (name, is_set) in [
        ("verity", request.verity),
        ("decompress-kernel", request.decompress_kernel),
        ("opaque-whiteouts", request.image_sources.opaque_whiteouts),
    ] {
        if is_set {
            options.insert(name.into(), true.into());
        }
    }
    match &request.sbom {
        None => drop(options.insert("no-sbom".into(), true.into())),
        Some(sbom) => drop(options.insert("sbom-output".into(), sbom.path.as_str().into())),
    }
    Value::Object(options)
}

/// Returns a root filesystem as `--root` has it.
fn root_name(root: Root) -> &'static str {
    match root {
        Root::Initramfs => "initramfs",
        Root::On(Filesystem::Iso9660) => "iso",
        Root::On(filesystem) => filesystem.name(),
    }
}

/// Lists what the outputs are made of: images by the digests of their manifests, and files of the host.
fn dependencies(request: &Request, resolved: &Resolved, system: &System) -> Result<Vec<Value>, Diagnostic> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (field, image) in resolved.config.images() {
        fields.entry(canonical(&image)).or_default().push(field);
    }
    let mut images: BTreeMap<&str, &Image> = BTreeMap::new();
    images.extend(resolved.images.values().map(|image| (image.name.as_str(), image)));
    let loaders = resolved.boot_loaders.values().flatten();
    images.extend(loaders.map(|image| (image.name.as_str(), image)));
    let mut list: Vec<Value> = images
        .into_iter()
        .map(|(name, image)| {
            let mut descriptor = json!({"name": name, "uri": uri(name, image.digest())});
            if let Some(map) = descriptor.as_object_mut() {
                let digest = image.digest().map(|digest| digest.trim_start_matches("sha256:"));
                // An image of `docker save` has no manifest; its layers have digests.
                let digest = digest.map(|digest| json!({"sha256": digest}));
                map.extend(digest.map(|digest| ("digest".into(), digest)));
                let layers: Vec<&str> = image.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
                let sections = fields.get(name).cloned().unwrap_or_default();
                map.insert("annotations".into(), json!({"sections": sections, "diffIds": layers}));
            }
            descriptor
        })
        .collect();
    // Layouts in volumes are not unpacked: they are known by what their name refers to.
    for (at, volume) in resolved.config.volumes.iter().enumerate() {
        let name = canonical(&volume.image);
        let mut layouts = resolved.store.layouts().iter();
        if volume.format == "oci"
            && let Some(descriptor) = layouts.find_map(|layout| layout.find(&name))
        {
            let digest = descriptor.digest().to_string();
            list.push(json!({
                "name": name,
                "uri": uri(&name, Some(&digest)),
                "digest": {"sha256": digest.trim_start_matches("sha256:")},
                "annotations": {"sections": [format!("volumes[{at}].image")]},
            }));
        }
    }
    for (field, file) in resolved.config.all_files() {
        let is_read = !file.source.is_empty() && !file.directory && file.symlink.is_empty();
        let bundled = request.sources.as_ref();
        if !is_read || !sources::check(file, bundled)? {
            continue;
        }
        let path = sources::path(file);
        // What was assembled counts; a file that another one covers is read again.
        let content = match assembled(system, &field, &file.path) {
            Some(content) => Ok(content.clone()),
            None => match bundled.and_then(|bundled| bundled.get(&file.source)) {
                Some(slice) => Ok(Extents::from_slice(slice.clone())),
                None => FileBlob::open(&path).map(|blob| Extents::from_blob(Arc::new(blob))),
            },
        };
        let digest = content.and_then(|content| super::sha256(&content));
        let digest = digest
            .map_err(|error| Diagnostic::error(format!("cannot read {}: {error}", path.display())).caused_by(error))?;
        list.push(json!({
            "name": file.source,
            "digest": {"sha256": digest},
            "annotations": {"sections": [field]},
        }));
    }
    Ok(list)
}

/// Returns the content of a file that a section of the YAML has put at a path.
fn assembled<'a>(system: &'a System, field: &str, path: &str) -> Option<&'a Extents> {
    let node = system.complete.node(system.complete.lookup(path.as_bytes())?);
    match &node.kind {
        Kind::File(content) if system.source(&node.meta)?.field == field => Some(content),
        _ => None,
    }
}

/// Returns the name of an image with its digest.
fn uri(name: &str, digest: Option<&str>) -> String {
    let name = name.split('@').next().unwrap_or_default();
    match digest {
        Some(digest) => format!("docker://{name}@{digest}"),
        None => format!("docker://{name}"),
    }
}
