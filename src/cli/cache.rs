//! `moby cache`: the folder of images that builds read.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use extents::{Extents, emit};
use tree::Time;

use super::report::Report;
use super::{Environment, Failure, host_arch};
use crate::arch::Arch;
use crate::config::canonical;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::oci::{Layout, Writer};
use crate::reporter::Reporter;
use crate::store::Store;

/// The arguments of `moby cache`.
#[derive(Debug, Args)]
pub struct Cache {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the images
    #[command(visible_alias = "list")]
    Ls,
    /// Copy images from an OCI layout directory, an OCI archive or a `docker save` tar into the cache
    Import {
        /// OCI layout directory, OCI archive or `docker save` tar
        #[arg(value_name = "PATH")]
        from: PathBuf,
        /// Names of the images to copy [default: all that have a name]
        #[arg(value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Write an image to a file
    Export {
        /// Image name, with a tag or digest
        image: String,
        /// Output file; `-` writes to standard output
        #[arg(short, long, value_name = "FILE", visible_alias = "outfile")]
        output: PathBuf,
        /// Archive format
        #[arg(long, value_enum, default_value_t = Format::Oci)]
        format: Format,
        /// Architecture to export, for docker and filesystem [default: the host's]. An OCI archive
        /// holds every architecture of the image
        #[arg(long, default_value = host_arch(), hide_default_value = true)]
        arch: Arch,
    },
    /// Pull images from their registries into the cache
    #[cfg(feature = "registry")]
    Pull(super::registry::Pull),
    /// Push an image of the cache to a registry
    #[cfg(feature = "registry")]
    Push(super::registry::Push),
    /// Remove images, and the blobs that no other image needs
    Rm {
        /// Image names, with a tag or digest
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Remove blobs and decompressed layers that no image needs
    Clean,
    /// Read every blob and compare it with its digest
    Verify,
}

/// What an image is written as.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// OCI archive
    Oci,
    /// Archive for `docker load`
    Docker,
    /// Root filesystem as a tar
    Filesystem,
}

impl Cache {
    pub fn run(
        self,
        environment: Environment,
        #[cfg(feature = "registry")] registry: &super::registry::RegistryFlags,
        report: &Report,
    ) -> Result<(), Failure> {
        let folder = environment
            .cache
            .ok_or_else(|| Failure::usage("there is no home folder\nhelp: give --cache"))?;
        match self.command {
            Command::Ls => ls(&folder),
            Command::Import { from, images } => import(&folder, &from, images, report),
            Command::Export {
                image,
                output,
                format,
                arch,
            } => export(&folder, &image, &output, format, arch, environment.time),
            #[cfg(feature = "registry")]
            Command::Pull(pull) => pull.run(&folder, registry, report),
            #[cfg(feature = "registry")]
            Command::Push(push) => push.run(&store(&folder)?, registry, report),
            Command::Rm { images } => rm(&folder, &images, report),
            Command::Clean => clean(&Writer::open(&folder).map_err(Failure::work)?, report),
            Command::Verify => verify(&folder, report),
        }
    }
}

/// The cache as a store.
fn store(folder: &Path) -> Result<Store, Failure> {
    let options = crate::store::Options {
        cache: Some(folder.to_owned()),
        opaque_whiteouts: true,
        ..crate::store::Options::default()
    };
    Store::open(&options).map_err(Failure::work)
}

/// Lists all images, those too whose index is damaged, and fails when there are such.
fn ls(folder: &Path) -> Result<(), Failure> {
    let store = store(folder)?;
    let (mut lines, mut damaged) = (Vec::new(), Vec::new());
    for layout in store.layouts() {
        for (name, descriptor) in layout.descriptors() {
            let Some(name) = name else { continue };
            let platforms = match layout.platforms(&name, descriptor) {
                Ok(platforms) => platforms.join(","),
                Err(error) => {
                    damaged.push(error.to_string());
                    "damaged".into()
                }
            };
            let digest = descriptor.digest().digest().get(..12).unwrap_or_default().to_owned();
            lines.push(format!("{name:<60} {digest} {platforms}\n"));
        }
    }
    lines.sort();
    lines.dedup();
    super::print(&lines.concat())?;
    fail(damaged)
}

/// What is damaged, all of it, when anything is.
fn fail(damaged: Vec<String>) -> Result<(), Failure> {
    match damaged.is_empty() {
        true => Ok(()),
        false => Err(Failure::Work(Diagnostics(
            damaged.iter().map(|text| Diagnostic::from_text(text)).collect(),
        ))),
    }
}

fn import(folder: &Path, from: &Path, images: Vec<String>, reporter: &dyn Reporter) -> Result<(), Failure> {
    let layout = Layout::open(from).map_err(Failure::work)?;
    let images = match images.is_empty() {
        true => layout.names(),
        false => images.iter().map(|image| canonical(image)).collect(),
    };
    if images.is_empty() {
        return Err(Failure::work(format!(
            "no image in {} has a name\nhelp: skopeo copy {}:{} oci:DIR:NAME gives one",
            from.display(),
            layout.transport(),
            from.display()
        )));
    }
    let writer = Writer::open(folder).map_err(Failure::work)?;
    for name in images {
        let graph = layout.graph(&name, &|_| None).map_err(Failure::work)?.ok_or_else(|| {
            let known = layout.names();
            let help = crate::diagnostic::nearest(&name, known.iter().map(String::as_str));
            let help = help.unwrap_or_else(|| match known.is_empty() {
                true => "no image there has a name".into(),
                false => format!("there is {}", known.join(", ")),
            });
            Failure::work(format!("no image {name} in {}\nhelp: {help}", from.display()))
        })?;
        writer.write(&graph).map_err(Failure::work)?;
        writer.name(&name, graph.top).map_err(Failure::work)?;
        reporter.info(&format!("imported {name}"));
    }
    Ok(())
}

fn export(folder: &Path, image: &str, output: &Path, format: Format, arch: Arch, time: i64) -> Result<(), Failure> {
    let (store, name) = (store(folder)?, canonical(image));
    let time = Time::from_seconds(time);
    let content = match format {
        Format::Oci => {
            let graph = store.graph(&name, &|_| None).map_err(Failure::work)?;
            pax::plan(&graph.layout(&name, time)).map_err(Failure::work)?
        }
        Format::Docker => {
            let image = store.image(&name, arch).map_err(Failure::work)?;
            let files = store.docker_archive(&image, time).map_err(Failure::work)?;
            pax::plan(&files).map_err(Failure::work)?
        }
        Format::Filesystem => {
            let image = store.image(&name, arch).map_err(Failure::work)?;
            pax::plan(&store.tree(&image).map_err(Failure::work)?).map_err(Failure::work)?
        }
    };
    write(&content, output)
}

fn write(content: &Extents, output: &Path) -> Result<(), Failure> {
    let written = if output.as_os_str() == "-" {
        emit::stream(content, &mut std::io::stdout().lock())
    } else {
        emit::to_path(content, output)
    };
    written.map_err(|error| Failure::work(format!("cannot write {}: {error}", output.display())))
}

fn rm(folder: &Path, images: &[String], reporter: &dyn Reporter) -> Result<(), Failure> {
    let writer = Writer::open(folder).map_err(Failure::work)?;
    for image in images {
        let name = canonical(image);
        if !writer.remove(&name).map_err(Failure::work)? {
            return Err(Failure::work(format!(
                "no image {name} in {}\nhelp: `moby cache ls` lists them",
                folder.display()
            )));
        }
        reporter.info(&format!("removed {name}"));
    }
    clean(&writer, reporter)
}

fn clean(writer: &Writer, reporter: &dyn Reporter) -> Result<(), Failure> {
    let cleaned = writer.clean().map_err(Failure::work)?;
    reporter.info(&format!(
        "removed {} files of {} MiB",
        cleaned.files,
        cleaned.bytes >> 20
    ));
    Ok(())
}

/// Reads all images; says which are damaged, and fails when some are.
fn verify(folder: &Path, reporter: &dyn Reporter) -> Result<(), Failure> {
    let store = store(folder)?;
    let mut damaged = Vec::new();
    for layout in store.layouts() {
        for (name, descriptor) in layout.descriptors() {
            let name = name.unwrap_or_else(|| descriptor.digest().to_string());
            match layout.graph_of(&name, descriptor, &|_| None) {
                Ok(_) => reporter.info(&format!("{name} is whole")),
                Err(error) => damaged.push(error.to_string()),
            }
        }
    }
    fail(damaged)
}
