//! Collecting what YAML files need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use extents::{Extents, FileBlob};
use oci_spec::image::Descriptor;
use serde_json::{Value, json};
use tree::{Kind as Node, Meta, Time, Tree};

use super::{Blob, Bundle, File, Image, Kind, MANIFEST, Manifest, VERSION};
use crate::arch::Arch;
use crate::config::{Config, canonical};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lock::Lock;
#[cfg(feature = "registry")]
use crate::oci::registry::Platforms;
use crate::oci::{ImageGraph, blob_path, digest_of, graph};
use crate::plan::formats::Format;
use crate::reporter::{Reporter, Silent};
#[cfg(feature = "registry")]
use crate::request::Registry;
use crate::request::{Request, Reuse, Target};
use crate::resolve::{self, lock, sources};
use crate::store::{self, Store};
use crate::trust::Policy;

/// A YAML file to bundle.
#[derive(Debug)]
pub struct Yaml {
    /// Path as it was given.
    pub path: PathBuf,
    /// Text.
    pub text: Vec<u8>,
    /// Configuration.
    pub config: Config,
    /// Lock, if there is one.
    pub lock: Option<Lock>,
    /// Policy that the images must satisfy.
    pub policy: Option<Policy>,
    /// Policy file, and the keys that it names.
    pub policy_files: Vec<(Kind, PathBuf, Vec<u8>)>,
}

/// Options for creating a bundle.
#[derive(Debug)]
pub struct Options<'a> {
    /// Architectures to build for.
    pub arches: Vec<Arch>,
    /// Takes every platform of the images.
    pub all_platforms: bool,
    /// Output formats whose boot loaders are taken; without formats, all that are available.
    pub formats: Vec<&'static Format>,
    /// Sources of images.
    pub image_sources: store::Options,
    /// Registries from which missing images are pulled, if the network may be used.
    #[cfg(feature = "registry")]
    pub registry: Option<Registry>,
    /// Directory of .deb files for packages that are built, in place of apt-get.
    pub debs: Option<PathBuf>,
    /// Path of the policy for all YAML files, in place of those that they name.
    pub policy: Option<PathBuf>,
    /// Bundle whose blobs are left out.
    pub base: Option<&'a Bundle>,
    /// Time of the members of the archive, in seconds since 1970.
    pub time: i64,
    /// Number of threads.
    pub jobs: usize,
}

/// Builds the archive of a bundle. Images that are missing are pulled, and packages built.
///
/// # Errors
/// The errors of a build that need no layer, and files that cannot be read.
pub fn create(yamls: &[Yaml], options: &Options<'_>, reporter: &dyn Reporter) -> Result<Extents, Diagnostics> {
    let mut content = Content::default();
    for yaml in yamls {
        content.add(yaml, options, reporter)?;
    }
    let tree = content.tree(options)?;
    pax::plan(&tree).map_err(|error| {
        let message = format!("cannot write the bundle: {error}");
        Diagnostic::error(message).caused_by(error).into()
    })
}

/// Content of a bundle.
#[derive(Debug, Default)]
struct Content {
    /// Images, by name and digest.
    images: BTreeMap<(String, String), ImageGraph>,
    /// Files, by kind and path.
    files: BTreeMap<(Kind, String), Extents>,
}

impl Content {
    fn add(&mut self, yaml: &Yaml, options: &Options<'_>, reporter: &dyn Reporter) -> Result<(), Diagnostics> {
        let mut images = options.image_sources.clone();
        images.pins = yaml.lock.as_ref().map(Lock::pins).unwrap_or_default();
        #[cfg(feature = "registry")]
        if options.all_platforms {
            pull_all(&yaml.config, &images, options, reporter)?;
        }
        let mut names = BTreeSet::new();
        for arch in &options.arches {
            let request = request(yaml, *arch, &images, options);
            let resolved = resolve::resolve(&request, reporter)?;
            names.extend(resolved.config.images().iter().map(|(_, name)| canonical(name)));
            names.extend(resolve::loader_names(&request, &resolved));
        }
        // Beyond the air gap, the lock names the images of packages, and the digests that were taken.
        let lock = self::lock(yaml, options)?;
        images.pins = lock.pins();
        let store = Store::open(&images).map_err(Diagnostic::from)?;
        for name in names {
            self.add_image(&name, &yaml.config, &store, options)?;
        }
        let path = yaml.path.display().to_string();
        let text = |bytes: &[u8]| Extents::from_bytes(bytes.to_vec());
        self.files.insert((Kind::Yaml, path), text(&yaml.text));
        let path = yaml.path.with_extension("lock").display().to_string();
        self.files.insert((Kind::Lock, path), text(lock.text().as_bytes()));
        for (kind, path, bytes) in &yaml.policy_files {
            self.files.insert((*kind, path.display().to_string()), text(bytes));
        }
        self.add_sources(&yaml.config)
    }

    /// Adds an image with the platforms that are wanted, and what refers to it.
    fn add_image(
        &mut self,
        name: &str,
        config: &Config,
        store: &Store,
        options: &Options<'_>,
    ) -> Result<(), Diagnostics> {
        let is_layout = config
            .volumes
            .iter()
            .any(|volume| volume.format == "oci" && canonical(&volume.image) == name);
        let wanted = |descriptor: &Descriptor| {
            let platform = descriptor.platform().as_ref()?;
            let arch = platform.architecture().to_string();
            if options.all_platforms || is_layout || arch == "unknown" {
                return None;
            }
            let mut arches = options.arches.iter();
            Some(platform.os().to_string() == "linux" && arches.any(|wanted| wanted.name() == arch))
        };
        let graph = store.graph(name, &wanted).map_err(Diagnostic::from)?;
        for (name, graph) in store.referrers(name, &graph).map_err(Diagnostic::from)? {
            self.insert(name, graph);
        }
        self.insert(name.to_owned(), graph);
        Ok(())
    }

    fn insert(&mut self, name: String, graph: ImageGraph) {
        let digest = graph.top.get("digest").and_then(Value::as_str).unwrap_or_default();
        let key = (name, digest.to_owned());
        let merged = self.images.entry(key).or_insert_with(|| ImageGraph {
            blobs: Vec::new(),
            top: graph.top.clone(),
        });
        merged.extend(&graph);
    }

    /// Adds the files of the host that a configuration names.
    fn add_sources(&mut self, config: &Config) -> Result<(), Diagnostics> {
        for (field, file) in config.all_files() {
            let is_source = !file.source.is_empty() && !file.directory && file.symlink.is_empty();
            if !is_source || file.contents.is_some() || !file.metadata.is_empty() {
                continue;
            }
            let check = sources::check(file, None).map_err(|error| config.locate(error.below(&field)))?;
            if check {
                let path = sources::path(file);
                let blob = FileBlob::open(&path).map_err(|error| {
                    let message = format!("cannot read {}: {error}", path.display());
                    config.locate(Diagnostic::field(format!("{field}.source"), message))
                })?;
                let content = Extents::from_blob(Arc::new(blob));
                self.files.insert((Kind::Source, file.source.clone()), content);
            }
        }
        Ok(())
    }

    /// Builds the files of the archive.
    fn tree(&self, options: &Options<'_>) -> Result<Tree, Diagnostic> {
        let time = Time::from_seconds(options.time);
        let (file_meta, dir_meta) = (Meta::new(0o644, time), Meta::new(0o755, time));
        let mut tree = Tree::new(dir_meta.clone());
        let mut put = |path: &str, content: Extents| {
            let inserted = tree.insert(path.as_bytes(), file_meta.clone(), Node::File(content), &dir_meta);
            inserted.map(drop).map_err(|error| {
                let message = format!("cannot put {path} into the bundle: {error}");
                Diagnostic::error(message).caused_by(error)
            })
        };
        let mut manifest = Manifest {
            base: options.base.map(|base| digest(&base.manifest.text())),
            policy: options.policy.as_ref().map(|policy| policy.display().to_string()),
            version: VERSION,
            ..Manifest::default()
        };
        let known: BTreeSet<&str> = options
            .base
            .iter()
            .flat_map(|base| &base.manifest.blobs)
            .map(|blob| blob.digest.as_str())
            .collect();
        let mut blobs = BTreeMap::new();
        let mut listed = Vec::new();
        for ((name, digest), image) in &self.images {
            let size = image.blobs.iter().map(|blob| blob.content.len());
            manifest.images.push(Image {
                name: name.clone(),
                digest: digest.clone(),
                platforms: image.platforms(),
                size: size.fold(0, u64::saturating_add),
            });
            let mut descriptor = image.top.clone();
            graph::set(
                &mut descriptor,
                "annotations",
                json!({"org.opencontainers.image.ref.name": name}),
            );
            listed.push(descriptor);
            for blob in &image.blobs {
                blobs.insert(blob.digest.as_str(), &blob.content);
            }
        }
        for (digest, content) in blobs {
            let is_known = known.contains(digest);
            manifest.blobs.push(Blob {
                digest: digest.to_owned(),
                size: content.len(),
                base: is_known,
            });
            if !is_known {
                put(&blob_path(digest), content.clone())?;
            }
        }
        for ((kind, path), content) in &self.files {
            let digest = digest_of(content).map_err(|error| {
                let message = format!("cannot read {path}: {error}");
                Diagnostic::error(message).caused_by(error)
            })?;
            let member = member(path, &digest);
            put(&member, content.clone())?;
            manifest.files.push(File {
                kind: *kind,
                path: path.clone(),
                member,
                digest,
                size: content.len(),
            });
        }
        let text = |text: String| Extents::from_bytes(text.into_bytes());
        put("oci-layout", text(json!({"imageLayoutVersion": "1.0.0"}).to_string()))?;
        let index = json!({"schemaVersion": 2, "mediaType": graph::INDEX, "manifests": listed});
        put("index.json", text(index.to_string()))?;
        put(MANIFEST, text(manifest.text()))?;
        Ok(tree)
    }
}

/// Pulls every platform of the images that are not packages.
#[cfg(feature = "registry")]
fn pull_all(
    config: &Config,
    images: &store::Options,
    options: &Options<'_>,
    reporter: &dyn Reporter,
) -> Result<(), Diagnostics> {
    let (Some(registry), Some(cache)) = (&options.registry, &images.cache) else {
        return Ok(());
    };
    for (name, field) in crate::lock::image_names(config) {
        let name = canonical(&name);
        let pin = images.pins.get(&store::pin_key(&name));
        let reference = pin.map_or_else(|| name.clone(), |pin| store::with_digest(&name, &pin.digest));
        registry
            .client
            .pull(&reference, &Platforms::All, cache, None, reporter)
            .map_err(|error| {
                let mut diagnostic = Diagnostic::field(field, format!("cannot pull {name}: {error}"));
                diagnostic.help.extend(error.help());
                config.locate(diagnostic)
            })?;
    }
    Ok(())
}

/// Returns the request of a build, whose references are resolved and nothing else.
fn request(yaml: &Yaml, arch: Arch, images: &store::Options, options: &Options<'_>) -> Request {
    let formats = options.formats.iter().filter(|format| format.arches.contains(&arch));
    Request {
        config: yaml.config.clone(),
        arch,
        formats: formats.copied().collect(),
        target: Target::Directory(PathBuf::new()),
        name: "bundle".into(),
        image_sources: images.clone(),
        // Signatures that the policy requires are pulled, too.
        policy: yaml.policy.clone(),
        #[cfg(feature = "registry")]
        registry: options.registry.clone(),
        lock: yaml.lock.clone(),
        sources: None,
        debs: options.debs.clone(),
        compression: None,
        disk_compression: None,
        root: None,
        verity: false,
        size: None,
        decompress_kernel: false,
        sbom: None,
        documents: Vec::new(),
        #[cfg(feature = "sign")]
        provenance_key: None,
        time: options.time,
        reuse: Reuse::default(),
        cache_size: None,
        jobs: options.jobs,
    }
}

/// Returns the lock of a YAML, completed from what is here.
fn lock(yaml: &Yaml, options: &Options<'_>) -> Result<Lock, Diagnostics> {
    let options = lock::Options {
        arches: Vec::new(),
        image_sources: options.image_sources.clone(),
        #[cfg(feature = "registry")]
        registry: None,
        debs: None,
        update: lock::Update::Names(Vec::new()),
        policy: yaml.policy.clone(),
    };
    lock::lock(&yaml.config, yaml.lock.as_ref(), &options, &Silent)
}

fn digest(text: &str) -> String {
    // Bytes in memory cannot fail.
    digest_of(&Extents::from_bytes(text.as_bytes().to_vec())).unwrap_or_default()
}

/// Returns the path in the archive of a file: its own below `files` if it is below the current directory.
fn member(path: &str, digest: &str) -> String {
    let is_inside = !path.starts_with(['/', '~']) && !path.contains(['\\', ':', '\0']);
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if is_inside && !parts.is_empty() && !parts.contains(&"..") {
        return format!("files/{}", parts.join("/"));
    }
    let last = path.rsplit(['/', '\\', ':']).next().unwrap_or_default();
    let hex = digest.trim_start_matches("sha256:").get(..12).unwrap_or_default();
    format!("files/outside/{hex}/{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_inside_of_the_archive() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (path, expected) in [
            ("a.yml", "files/a.yml"),
            ("./site//a.yml", "files/site/a.yml"),
            ("../a.yml", "files/outside/000000000000/a.yml"),
            ("/etc/motd", "files/outside/000000000000/motd"),
            ("~/motd", "files/outside/000000000000/motd"),
            ("C:\\a\\motd", "files/outside/000000000000/motd"),
        ] {
            assert_eq!(member(path, &digest), expected, "{path}");
        }
    }
}
