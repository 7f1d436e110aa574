//! The root filesystem as a tree, laid out as LinuxKit lays it out:
//!
//! ```text
//! boot/{kernel,cmdline,ucode.cpio}
//! (the kernel's modules, then the init images, unpacked at the root)
//! containers/volumes/NAME/{lower,tmp,merged}
//! containers/onboot/NNN-NAME/       config.json runtime.json and rootfs, or lower tmp rootfs
//! containers/onshutdown/NNN-NAME/
//! containers/services/NAME/
//! ```

mod apk;
mod check;
mod containers;
mod files;
mod image;
mod kernel;
pub mod metadata;
pub mod sbom;
pub mod spec;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use tree::{Kind, Meta, Time, Tree};

use crate::arch::Arch;
use crate::config::{self, Config};
use crate::diagnostic::Diagnostics;
use crate::reporter::Progress;
use crate::store::{Image, Store};
pub use check::check;

/// What matters besides the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Architecture.
    pub arch: Arch,
    /// How many threads.
    pub jobs: usize,
    /// Whether the kernel is stored without its compression.
    pub decompress_kernel: bool,
    /// How the SBOM is made, if it is.
    pub sbom: Option<sbom::Options>,
}

/// Builds the tree.
///
/// # Errors
/// Whatever is wrong with the images or with what the configuration, which [`check`] has passed,
/// asks of them, each with the line of the YAML that names it.
pub fn build(
    config: &Config,
    store: &Store,
    options: &Options,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Tree, Diagnostics> {
    let images = find(config, store, options.arch)?;
    let list: Vec<Image> = images.values().map(|(_, image)| image.clone()).collect();
    store
        .prepare(&list, options.jobs, progress)
        .map_err(|error| explain(config, &error))?;
    let mut builder = Builder {
        config,
        store,
        images,
        arch: options.arch,
        sbom_options: options.sbom.as_ref(),
        sbom: sbom::Sbom::default(),
        tree: Tree::new(Meta {
            implied: true,
            ..default_meta(0o755)
        }),
    };
    builder.kernel(options.decompress_kernel)?;
    builder.init()?;
    builder.volumes()?;
    builder.containers()?;
    builder.files()?;
    builder.write_sbom()?;
    Ok(builder.tree)
}

/// Root's, of the default time.
fn default_meta(mode: u32) -> Meta {
    Meta::new(mode, Time::from_seconds(crate::time::fixed()))
}

/// The images by canonical name, each with the path of the field that first names it.
type Images = BTreeMap<String, (String, Image)>;

/// Every field that names an image, with its value.
fn named(config: &Config) -> Vec<(String, &str)> {
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

fn find(config: &Config, store: &Store, arch: Arch) -> Result<Images, Diagnostics> {
    let mut images = Images::new();
    let mut missing = Vec::new();
    for (path, image) in named(config) {
        let name = config::canonical(image);
        if images.contains_key(&name) {
            continue;
        }
        match store.image(&name, arch) {
            Ok(image) => {
                images.insert(name, (path, image));
            }
            Err(error) => missing.push((path, error.to_string())),
        }
    }
    match missing.is_empty() {
        true => Ok(images),
        false => Err(config.complain_of(missing)),
    }
}

/// What is wrong with an image, at the field that first names it.
pub fn explain(config: &Config, error: &crate::store::Error) -> Diagnostics {
    let fields = named(config);
    let field = fields
        .iter()
        .find(|(_, image)| error.image() == Some(&config::canonical(image)));
    config.complain(field.map_or("", |(field, _)| field), error.to_string())
}

/// The tree on its way.
struct Builder<'a> {
    config: &'a Config,
    store: &'a Store,
    images: Images,
    arch: Arch,
    sbom_options: Option<&'a sbom::Options>,
    sbom: sbom::Sbom,
    tree: Tree,
}

/// Where an entry comes from; tars carry it as pax records.
#[derive(Clone, Debug)]
struct Origin(Arc<BTreeMap<String, Vec<u8>>>);

impl Origin {
    fn new(source: &str, location: &str) -> Self {
        let records = [("LINUXKIT.source", source), ("LINUXKIT.location", location)];
        Origin(Arc::new(
            records
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
                .collect(),
        ))
    }

    /// Root's metadata of the default time, from here.
    fn meta(&self, mode: u32) -> Meta {
        Meta {
            records: Some(self.0.clone()),
            ..default_meta(mode)
        }
    }
}

/// An error of the tree with its help.
fn text(error: &tree::Error) -> String {
    let help = error.help().map(|help| format!("\nhelp: {help}"));
    format!("{error}{}", help.unwrap_or_default())
}

impl Builder<'_> {
    /// Puts a node into the tree, where only a folder may replace a folder that is not empty.
    fn put(&mut self, field: &str, path: &str, meta: Meta, kind: Kind, origin: &Origin) -> Result<(), Diagnostics> {
        if !kind.is_directory() && self.tree.is_occupied(path.as_bytes()) {
            let error = tree::Error::Occupied { path: path.into() };
            return Err(self.config.complain(field, text(&error)));
        }
        self.tree
            .insert(path.as_bytes(), meta, kind, &origin.meta(0o755))
            .map(drop)
            .map_err(|error| self.config.complain(field, text(&error)))
    }

    /// An image that [`find`] has found.
    fn image(&self, field: &str, name: &str) -> Result<&Image, Diagnostics> {
        let found = self.images.get(&config::canonical(name)).map(|(_, image)| image);
        found.ok_or_else(|| {
            self.config
                .complain(field, format!("{name:?} is not the name of an image"))
        })
    }

    /// The files of an image.
    fn unpacked(&self, field: &str, name: &str) -> Result<Tree, Diagnostics> {
        let image = self.image(field, name)?;
        self.store
            .tree(image)
            .map_err(|error| self.config.complain(field, error.to_string()))
    }

    /// Unpacks an image below a path, filtered.
    fn unpack(
        &mut self,
        field: &str,
        name: &str,
        path: &str,
        role: image::Role,
        origin: &Origin,
    ) -> Result<(), Diagnostics> {
        let mut files = self.unpacked(field, name)?;
        image::filter(&mut files, role);
        image::mark(&mut files, origin);
        let parents = origin.meta(0o755);
        let failed = |error: tree::Error| self.config.complain(field, text(&error));
        let root = tree::NodeId::ROOT;
        if files.node(root).meta.implied {
            files.node_mut(root).meta = match path {
                "" => self.tree.node(root).meta.clone(),
                _ => parents.clone(),
            };
        }
        self.tree.graft(path.as_bytes(), &files, &parents).map_err(failed)?;
        self.take_sboms(field, name, path)
    }

    fn init(&mut self) -> Result<(), Diagnostics> {
        let mut databases = apk::Databases::default();
        for (at, name) in self.config.init.iter().enumerate() {
            let field = format!("init[{at}]");
            let origin = Origin::new(&config::canonical(name), &field);
            let files = self.unpacked(&field, name)?;
            databases
                .add(&files)
                .map_err(|error| self.config.complain(&field, format!("{name}: {error}")))?;
            self.unpack(&field, name, "", image::Role::Init, &origin)?;
        }
        if let Some(merged) = databases.merged() {
            let origin = Origin::new("LINUXKIT.apkinit", "init");
            let meta = Meta {
                mtime: Time::default(),
                ..origin.meta(0o644)
            };
            self.put("init", apk::PATH, meta, Kind::File(merged), &origin)?;
        }
        Ok(())
    }
}
