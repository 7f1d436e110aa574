//! `moby cache`: the directory of images that builds read.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use extents::{Extents, emit};
use tree::Time;

use super::terminal::TerminalReporter;
use super::{Environment, Failure, host_arch, stdout};
use crate::arch::Arch;
use crate::config::canonical;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, size};
use crate::oci::{ImageGraph, Layout, Writer};
use crate::reporter::Reporter;
use crate::store::{LayerCache, Store};

/// Arguments of `moby cache`.
#[derive(Debug, Args)]
pub struct Cache {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the images: name, digest and platforms
    #[command(visible_alias = "list")]
    Ls {
        /// Print only the names, one per line
        #[arg(long)]
        names: bool,
    },
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
    /// Remove blobs and cached layers that no image needs, and corrupt cached layers
    Clean,
    /// Compare every blob and every cached layer with its digest
    Verify,
}

/// Archive format of an export.
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
    pub fn run(self, environment: Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        let dir = environment.cache.ok_or_else(super::no_cache)?;
        match self.command {
            Command::Ls { names } => ls(&dir, names),
            Command::Import { from, images } => import(&dir, &from, images, reporter),
            Command::Export {
                image,
                output,
                format,
                arch,
            } => {
                let time = Time::from_seconds(environment.time);
                write(&export(&dir, &image, format, arch, time)?, &output)
            }
            #[cfg(feature = "registry")]
            Command::Pull(pull) => pull.run(&dir, &environment.registry, reporter),
            #[cfg(feature = "registry")]
            Command::Push(push) => push.run(&store(&dir)?, &environment.registry, reporter),
            Command::Rm { images } => rm(&dir, &images, reporter),
            Command::Clean => clean(&dir, &Writer::open(&dir)?, reporter),
            Command::Verify => verify(&dir, reporter),
        }
    }
}

/// Opens the cache as a store.
fn store(dir: &Path) -> Result<Store, Failure> {
    let options = crate::store::Options {
        cache: Some(dir.to_owned()),
        opaque_whiteouts: true,
        ..crate::store::Options::default()
    };
    Ok(Store::open(&options)?)
}

/// Lists all images, including damaged ones, and fails if there are any.
fn ls(dir: &Path, only_names: bool) -> Result<(), Failure> {
    let store = store(dir)?;
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    for layout in store.layouts() {
        for (name, descriptor) in layout.descriptors() {
            let Some(name) = name else { continue };
            if only_names {
                rows.push([name, String::new(), String::new()]);
                continue;
            }
            let platforms = match layout.platforms(&name, descriptor) {
                Ok(platforms) => platforms.join(","),
                Err(error) => {
                    damaged.push(error.into());
                    "damaged".into()
                }
            };
            let digest = descriptor.digest().digest().get(..12).unwrap_or_default();
            rows.push([name, digest.to_owned(), platforms]);
        }
    }
    rows.sort();
    rows.dedup();
    let text = if only_names {
        rows.iter().map(|[name, ..]| format!("{name}\n")).collect()
    } else {
        super::table(["IMAGE", "DIGEST", "PLATFORMS"], &rows)
    };
    super::print(&text)?;
    fail(damaged)
}

/// Fails with the errors, if there are any.
fn fail(errors: Vec<Diagnostic>) -> Result<(), Failure> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::Work(Diagnostics(errors)))
    }
}

fn import(dir: &Path, from: &Path, images: Vec<String>, reporter: &dyn Reporter) -> Result<(), Failure> {
    let mut layout = Layout::open(from)?;
    // A bundle may lack what the cache has.
    if dir.join("index.json").exists() {
        layout.complete(vec![Layout::open(dir)?.files()]);
    }
    let images = if images.is_empty() {
        layout.names()
    } else {
        images.iter().map(|image| canonical(image)).collect()
    };
    if images.is_empty() {
        let message = format!("cannot import {}: no image in it has a name", from.display());
        let transport = layout.transport();
        let help = format!("name one: skopeo copy {transport}:{} oci:DIR:NAME", from.display());
        return Err(Diagnostic::error(message).help(help).into());
    }
    let writer = Writer::open(dir)?;
    for name in images {
        let graph = graph(&layout, &name)?;
        writer.write(&graph)?;
        writer.name(&name, graph.top)?;
        reporter.info(&format!("imported {name}"));
    }
    Ok(())
}

/// Reads an image of a layout with all its blobs.
fn graph(layout: &Layout, name: &str) -> Result<ImageGraph, Failure> {
    if let Some(graph) = layout.graph(name, &|_| None)? {
        return Ok(graph);
    }
    let known = layout.names();
    let help = nearest(name, known.iter().map(String::as_str)).unwrap_or_else(|| {
        if known.is_empty() {
            "no image there has a name".into()
        } else {
            format!("there is {}", known.join(", "))
        }
    });
    let message = format!("no image {name} in {}", layout.path().display());
    Err(Diagnostic::error(message).help(help).into())
}

fn export(dir: &Path, image: &str, format: Format, arch: Arch, time: Time) -> Result<Extents, Failure> {
    let (store, name) = (store(dir)?, canonical(image));
    let tree = match format {
        Format::Oci => store.graph(&name, &|_| None)?.layout(&name, time),
        Format::Docker => store.docker_archive(&store.image(&name, arch)?, time)?,
        Format::Filesystem => store.tree(&store.image(&name, arch)?)?,
    };
    pax::plan(&tree).map_err(|error| {
        let message = format!("cannot export {name}: {error}");
        Diagnostic::error(message).caused_by(error).into()
    })
}

fn write(content: &Extents, output: &Path) -> Result<(), Failure> {
    if output.as_os_str() == "-" {
        return stdout::write(content);
    }
    emit::to_path(content, output).map_err(|error| {
        let message = format!("cannot write {}: {error}", output.display());
        Diagnostic::error(message).caused_by(error).into()
    })
}

fn rm(dir: &Path, images: &[String], reporter: &dyn Reporter) -> Result<(), Failure> {
    let writer = Writer::open(dir)?;
    for image in images {
        let name = canonical(image);
        if !writer.remove(&name)? {
            let message = format!("cannot remove {name}: no such image in {}", dir.display());
            return Err(Diagnostic::error(message)
                .help("`moby cache ls` lists the images")
                .into());
        }
        reporter.info(&format!("removed {name}"));
    }
    clean(dir, &writer, reporter)
}

fn clean(dir: &Path, writer: &Writer, reporter: &dyn Reporter) -> Result<(), Failure> {
    // Corrupt layers have the name of an image's layer, and would stay.
    let (_, corrupt) = LayerCache::verify(dir);
    let cleaned = writer.clean(&corrupt)?;
    let files = if cleaned.files == 1 { "file" } else { "files" };
    reporter.info(&format!("removed {} {files}, {}", cleaned.files, size(cleaned.bytes)));
    Ok(())
}

/// Reads all blobs and cached layers, and fails if any is damaged.
fn verify(dir: &Path, reporter: &dyn Reporter) -> Result<(), Failure> {
    let store = store(dir)?;
    let mut damaged: Vec<Diagnostic> = Vec::new();
    for layout in store.layouts() {
        for (name, descriptor) in layout.descriptors() {
            let name = name.unwrap_or_else(|| descriptor.digest().to_string());
            match layout.graph_of(&name, descriptor, &|_| None) {
                Ok(_) => reporter.info(&format!("{name}: intact")),
                Err(error) => damaged.push(error.into()),
            }
        }
    }
    let (intact, corrupt) = LayerCache::verify(dir);
    if intact > 0 {
        reporter.info(&format!("decompressed layers: {intact} intact"));
    }
    damaged.extend(corrupt.into_iter().map(Diagnostic::from));
    fail(damaged)
}
