//! The system from its images, with the root filesystem in LinuxKit's layout:
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
mod explain;
mod files;
mod image;
mod kernel;
pub mod metadata;
mod partitions;
pub mod sbom;
pub mod spec;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use tree::{Kind, Meta, Time, Tree};

use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::BootFiles;
use crate::reporter::Reporter;
use crate::request::Request;
use crate::resolve::Resolved;
use crate::store::Image;
use crate::system::{Container, Source, System};
pub use check::check;
pub use explain::{Contribution, explain};

/// Assembles the system that a request describes.
///
/// # Errors
/// Layers that are missing or corrupt, and images that do not fit what the YAML says of them, each
/// with the line of the YAML that names the image.
pub fn assemble(request: &Request, resolved: &Resolved, reporter: &dyn Reporter) -> Result<System, Diagnostics> {
    let mut builder = Builder::new(request, resolved, reporter)?;
    builder.root()?;
    builder.partitions()?;
    builder.finish()
}

/// Unpacks the images of boot loaders.
///
/// # Errors
/// Layers that are missing or corrupt.
pub fn boot_files(resolved: &Resolved) -> Result<BootFiles, Diagnostics> {
    let mut files = BootFiles::default();
    for (loader, image) in &resolved.boot_loaders {
        let unpacked = match image {
            Err(missing) => Err(missing.clone()),
            Ok(image) => {
                let store = &resolved.store;
                let prepared = store.prepare(std::slice::from_ref(image), 1, &|_| {});
                let unpacked = prepared.and_then(|()| store.tree(image));
                Ok(unpacked.map_err(Diagnostic::from)?)
            }
        };
        files.insert(*loader, unpacked);
    }
    Ok(files)
}

/// Returns metadata with root as the owner and the time of the build.
fn root_meta(mode: u32, time: Time) -> Meta {
    Meta::new(mode, time)
}

/// A system that is being assembled.
struct Builder<'a> {
    config: &'a Config,
    request: &'a Request,
    resolved: &'a Resolved,
    sbom: sbom::Sbom,
    tree: Tree,
    containers: Vec<Container>,
    system: System,
    watch: Option<explain::Watch>,
}

/// Origin of an entry, which tars carry as pax records, with the time of the build.
#[derive(Clone, Debug)]
struct Origin {
    records: Arc<BTreeMap<String, Vec<u8>>>,
    time: Time,
    /// [`Meta::source`] of entries that are of no layer. Those of the layers follow it.
    source: u32,
}

impl Origin {
    /// Returns root's metadata of this origin.
    fn meta(&self, mode: u32) -> Meta {
        Meta {
            records: Some(self.records.clone()),
            source: self.source,
            ..root_meta(mode, self.time)
        }
    }
}

/// Converts an error about a path of the tree.
fn tree_error(error: &tree::Error) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(error.to_string());
    diagnostic.help.extend(error.help().map(str::to_owned));
    diagnostic
}

impl<'a> Builder<'a> {
    /// Decompresses the layers of the images, and begins with an empty tree.
    fn new(request: &'a Request, resolved: &'a Resolved, reporter: &dyn Reporter) -> Result<Self, Diagnostics> {
        let images: Vec<Image> = resolved.images.values().cloned().collect();
        resolved
            .store
            .prepare(&images, request.jobs, &|progress| reporter.progress(progress))
            .map_err(|error| resolved.locate(&error))?;
        Ok(Builder {
            config: &resolved.config,
            request,
            resolved,
            sbom: sbom::Sbom::default(),
            tree: Tree::new(Meta {
                implied: true,
                ..root_meta(0o755, Time::from_seconds(request.time))
            }),
            containers: Vec::new(),
            system: System::default(),
            watch: None,
        })
    }

    /// Fills the root filesystem.
    fn root(&mut self) -> Result<(), Diagnostics> {
        self.kernel()?;
        self.init()?;
        self.volumes()?;
        self.containers()?;
        let config = self.config;
        self.files("files", &config.files)?;
        self.write_sbom()
    }
}

impl Builder<'_> {
    /// Returns root's metadata, with the time of the build.
    fn meta(&self, mode: u32) -> Meta {
        root_meta(mode, Time::from_seconds(self.request.time))
    }

    /// Creates the origin of entries that are not an image's. `source` and `location` are LinuxKit's
    /// names for it, `field` is the YAML's.
    fn origin(&mut self, source: &str, location: &str, field: &str) -> Origin {
        let number = self.add_source(Source {
            field: field.to_owned(),
            image: None,
            layer: None,
        });
        self.with_records(source, location, number)
    }

    /// Creates the origin of an image's entries.
    fn image_origin(&mut self, name: &str, location: &str, field: &str) -> Origin {
        let layers = self.resolved.images.get(name).map_or(0, |image| image.layers.len());
        let mut source = Source {
            field: field.to_owned(),
            image: Some(name.to_owned()),
            layer: None,
        };
        let number = self.add_source(source.clone());
        for layer in 0..layers {
            source.layer = Some(layer);
            self.add_source(source.clone());
        }
        self.with_records(name, location, number)
    }

    /// Adds a source and returns its number, the first of which is 1.
    fn add_source(&mut self, source: Source) -> u32 {
        self.system.sources.push(source);
        self.system.sources.len() as u32
    }

    fn with_records(&self, source: &str, location: &str, number: u32) -> Origin {
        let records = [("LINUXKIT.source", source), ("LINUXKIT.location", location)];
        let records = records.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
        Origin {
            records: Arc::new(records.into()),
            time: Time::from_seconds(self.request.time),
            source: number,
        }
    }

    /// Builds the system: the complete tree, and the root filesystem without `/boot`.
    fn finish(self) -> Result<System, Diagnostics> {
        let complete = self.tree;
        let mut root = complete.clone();
        root.clear(b"boot");
        let os_release = complete.lookup(b"etc/os-release").map(|id| &complete.node(id).kind);
        let os_release = match os_release {
            Some(Kind::File(content)) if !content.is_empty() => {
                let bytes = content.to_vec();
                let bytes =
                    bytes.map_err(|error| Diagnostic::error(format!("cannot read /etc/os-release: {error}")))?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => None,
        };
        Ok(System {
            root,
            complete,
            containers: self.containers,
            os_release,
            ..self.system
        })
    }

    /// Puts a node into the tree, where only a directory may replace a directory that is not empty.
    fn put(&mut self, field: &str, path: &str, meta: Meta, kind: Kind, origin: &Origin) -> Result<(), Diagnostics> {
        if !kind.is_directory() && self.tree.is_occupied(path.as_bytes()) {
            let error = tree::Error::Occupied { path: path.into() };
            return Err(self.config.error_at(field, tree_error(&error)));
        }
        self.tree
            .insert(path.as_bytes(), meta, kind, &origin.meta(0o755))
            .map_err(|error| self.config.error_at(field, tree_error(&error)))?;
        self.observe();
        Ok(())
    }

    /// Returns a resolved image.
    fn image(&self, field: &str, name: &str) -> Result<&Image, Diagnostics> {
        let found = self.resolved.images.get(&config::canonical(name));
        found.ok_or_else(|| {
            self.config
                .error_at(field, format!("{name:?} is not the name of an image"))
        })
    }

    /// Unpacks an image.
    fn unpacked(&self, field: &str, name: &str) -> Result<Tree, Diagnostics> {
        let image = self.image(field, name)?;
        self.resolved
            .store
            .tree(image)
            .map_err(|error| self.config.error_at(field, error))
    }

    /// Unpacks an image below a path, with the changes of [`image::filter`].
    fn unpack(
        &mut self,
        field: &str,
        name: &str,
        path: &str,
        role: image::Role,
        origin: &Origin,
    ) -> Result<(), Diagnostics> {
        let mut files = self.unpacked(field, name)?;
        image::filter(&mut files, role, origin.time);
        image::set_origin(&mut files, origin);
        let parents = origin.meta(0o755);
        let failed = |error: tree::Error| self.config.error_at(field, tree_error(&error));
        let root = tree::NodeId::ROOT;
        if files.node(root).meta.implied {
            files.node_mut(root).meta = match path {
                "" => self.tree.node(root).meta.clone(),
                _ => parents.clone(),
            };
        }
        self.take_sboms(field, name, &files, path)?;
        self.tree.graft(path.as_bytes(), files, &parents).map_err(failed)?;
        self.observe_image(field, name, path, origin)
    }

    fn init(&mut self) -> Result<(), Diagnostics> {
        let mut databases = apk::Databases::default();
        for (at, name) in self.config.init.iter().enumerate() {
            let field = format!("init[{at}]");
            let origin = self.image_origin(&config::canonical(name), &field, &field);
            let files = self.unpacked(&field, name)?;
            databases
                .add(&files)
                .map_err(|error| self.config.error_at(&field, format!("{name}: {error}")))?;
            self.unpack(&field, name, "", image::Role::Init, &origin)?;
        }
        if let Some(merged) = databases.merged() {
            let origin = self.origin("LINUXKIT.apkinit", "init", "init");
            let meta = Meta {
                mtime: Time::default(),
                ..origin.meta(0o644)
            };
            self.put("init", apk::PATH, meta, Kind::File(merged), &origin)?;
        }
        Ok(())
    }
}
