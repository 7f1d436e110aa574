//! Drivers of the kernel that the YAML names.
//!
//! They are cached by the digests of the kernel image's layers, so that a kernel which cannot mount
//! its root filesystem is refused before anything is decompressed. Layers are read
//! only when a kernel is used for the first time.

use std::fs;
use std::path::{Path, PathBuf};

use extents::Extents;
use pax::Body;
use sha2::{Digest, Sha256};
use tree::{Kind, Tree};

use super::boot_loaders::may_mount;
use super::images::Images;
use crate::checked_json;
use crate::config::{Config, Kernel, canonical};
use crate::kmod::Installed;
use crate::oci::digest;
use crate::plan::Support;
use crate::reporter::Reporter;
use crate::request::Request;
use crate::store::{Image, Store};

/// Maximum length of the cached form, in bytes.
const MAX_SUPPORT: u64 = 16 << 20;
/// Version of the cached form; another one is computed again.
const VERSION: u32 = 3;
/// Directory of the cached forms in a cache directory.
const DIR: &str = "moby/kernels";

/// Returns the drivers of the kernel if a format needs to know them. None if there is no kernel, or
/// if it cannot be read: [`crate::assemble`] says why.
pub fn support(request: &Request, config: &Config, images: &Images, reporter: &dyn Reporter) -> Option<Support> {
    if config.kernel.image.is_empty() || !may_mount(request) {
        return None;
    }
    let image = images.get(&canonical(&config.kernel.image))?;
    let path = cache_path(&config.kernel, image);
    let images = &request.image_sources;
    let mut caches = images.cache.iter().chain(&images.shared);
    if let Some(support) = caches.find_map(|cache| checked_json::load(&cache.join(&path), MAX_SUPPORT)) {
        return Some(support);
    }
    let support = read(request, &config.kernel, image, reporter)?;
    if let Some(cache) = &images.cache {
        // A cache that cannot be written costs time, not the build.
        let _ = checked_json::save(&support, &cache.join(path));
    }
    Some(support)
}

/// Returns the path of the cached form below a cache directory.
fn cache_path(kernel: &Kernel, image: &Image) -> PathBuf {
    let mut hash = Sha256::new();
    let layers = image.layers.iter().map(|layer| layer.diff_id.as_str());
    for part in [file_name(kernel), tar_name(kernel).unwrap_or_default()]
        .into_iter()
        .chain(layers)
    {
        hash.update(part);
        hash.update([0]);
    }
    let name = digest(hash);
    let name = name.trim_start_matches("sha256:");
    PathBuf::from(format!("{DIR}/{name}.v{VERSION}.json"))
}

/// Verifies the cached drivers of kernels. Returns the number of intact files, and the others.
pub fn verify(cache: &Path) -> (usize, Vec<PathBuf>) {
    let entries = fs::read_dir(cache.join(DIR)).into_iter().flatten().flatten();
    let current = format!(".v{VERSION}.json");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(&current));
    paths.sort();
    let (intact, corrupt): (Vec<PathBuf>, _) = paths
        .into_iter()
        .partition(|path| checked_json::load::<Support>(path, MAX_SUPPORT).is_some());
    (intact.len(), corrupt)
}

/// Returns the name of the kernel in its image.
pub fn file_name(kernel: &Kernel) -> &str {
    match kernel.binary.as_str() {
        "" => "kernel",
        name => name,
    }
}

/// Returns the name of the tar with the kernel's modules in its image.
pub fn tar_name(kernel: &Kernel) -> Option<&str> {
    let name = kernel.tar.as_deref().unwrap_or("kernel.tar");
    (!["", "none"].contains(&name)).then_some(name)
}

/// Reads the drivers from the layers. They are verified first, as what is cached here is not
/// verified again.
fn read(request: &Request, kernel: &Kernel, image: &Image, reporter: &dyn Reporter) -> Option<Support> {
    let store = Store::open(&request.image_sources).ok()?;
    let image = std::slice::from_ref(image);
    store
        .prepare(image, request.jobs, &|progress| reporter.progress(progress))
        .ok()?;
    let files = store.tree(image.first()?).ok()?;
    let installed = match tar_name(kernel).and_then(|name| file(&files, name)) {
        Some(tar) => Installed::find(&unpack(&tar)?).ok()?,
        None => None,
    };
    Some(Support::from_kernel(
        installed.as_ref(),
        file(&files, file_name(kernel)).as_ref(),
    ))
}

fn file(files: &Tree, name: &str) -> Option<Extents> {
    match &files.node(files.lookup_following(name.as_bytes())?).kind {
        Kind::File(content) => Some(content.clone()),
        _ => None,
    }
}

fn unpack(tar: &Extents) -> Option<Tree> {
    let mut tree = Tree::default();
    for entry in pax::entries(tar) {
        let entry = entry.ok()?;
        match entry.body {
            Body::Link(target) => drop(tree.link(&entry.path, &target, &entry.meta).ok()?),
            Body::Node(kind) => drop(tree.insert(&entry.path, entry.meta.clone(), kind, &entry.meta).ok()?),
        }
    }
    Some(tree)
}
