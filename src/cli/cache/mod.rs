//! `moby cache`: the directory of images that builds read.

mod list;
mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use extents::{Extents, emit};
use tree::Time;

use super::terminal::TerminalReporter;
use super::{Environment, Failure, host_arch, stdout};
use crate::arch::Arch;
use crate::build_record;
use crate::config::canonical;
use crate::debian;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, size};
use crate::oci::{ImageGraph, Layout, Writer, graph, referrers};
use crate::pieces;
use crate::reporter::Reporter;
use crate::resolve::kernel;
use crate::store::{LayerCache, Store, usage};

/// Arguments of `moby cache`.
#[derive(Debug, Args)]
pub struct Cache {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the images: name, digest, size, last use and platforms
    #[command(visible_alias = "list")]
    Ls {
        /// Print only the names, one per line
        #[arg(long)]
        names: bool,
        /// Print JSON
        #[arg(long, conflicts_with = "names")]
        json: bool,
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
        /// `oci` (OCI archive), `docker` (for `docker load`) or `filesystem` (root filesystem as a tar)
        #[arg(long, value_enum, default_value_t = ExportFormat::Oci, hide_possible_values = true)]
        format: ExportFormat,
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
        #[arg(required_unless_present = "unused_for", value_name = "IMAGE")]
        images: Vec<String>,
        /// Remove the images that no build has used for this time, such as 12h, 30d or 4w
        #[arg(long, value_name = "TIME", value_parser = crate::time::duration, conflicts_with = "images")]
        unused_for: Option<Duration>,
    },
    /// Remove blobs and cached layers that no image uses, corrupt cached files, and all records and compressed
    /// pieces of builds, which the next build makes again
    Clean {
        /// Also remove the least recently used images until the cache is at most this size, such as 20G
        #[arg(long, value_name = "SIZE", value_parser = crate::size::parse)]
        keep_size: Option<u64>,
    },
    /// Check every blob and cached file against its digest
    Verify {
        /// Also verify the signatures of the images, as this policy file requires
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
}

/// Archive format of an export.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExportFormat {
    /// OCI archive
    Oci,
    /// Archive for `docker load`
    Docker,
    /// Root filesystem as a tar
    Filesystem,
}

impl Cache {
    pub fn run(self, environment: Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        let dir = environment.cache.clone().ok_or_else(super::no_cache)?;
        match self.command {
            Command::Ls { names, json } => list::ls(&dir, names, json || environment.style.is_json, reporter),
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
            Command::Rm { images, unused_for } => {
                let unused = unused_for.map(|time| list::unused(&dir, time)).transpose()?;
                rm(&dir, &unused.unwrap_or(images), reporter)
            }
            Command::Clean { keep_size } => {
                let writer = Writer::open(&dir)?;
                clean(&dir, &writer, reporter)?;
                shrink(&dir, &writer, keep_size, reporter)
            }
            Command::Verify { policy } => verify::verify(&dir, policy.as_deref(), reporter),
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
    // A bundle may lack blobs that the cache has. A cache that cannot be read is reported below.
    if let Ok(cache) = Layout::open(dir) {
        layout.complete(vec![cache.files()]);
    }
    let images: Vec<String> = if images.is_empty() {
        // Signatures come with their images.
        let names = layout.names().into_iter();
        names.filter(|name| referrers::subject(name).is_none()).collect()
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
    let mut named = Vec::new();
    let copied = images.into_iter().try_for_each(|name| -> Result<(), Failure> {
        let graph = graph(&layout, &name)?;
        writer.write(&graph)?;
        for (digest, referrers) in layout.referrers_of(&graph)? {
            writer.attach(&name, &digest, referrers)?;
        }
        named.push((name, graph.top));
        Ok(())
    });
    // The images before one that cannot be imported get their names too.
    let names: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
    writer.set_names(named)?;
    for name in names {
        reporter.info(&format!("imported {name}"));
    }
    copied
}

/// Reads an image of a layout with all its blobs.
fn graph(layout: &Layout, name: &str) -> Result<ImageGraph, Failure> {
    if let Some(graph) = layout.graph(name, &|_| None)? {
        return Ok(graph);
    }
    let known = layout.names();
    let help = nearest(name, known.iter().map(String::as_str)).unwrap_or_else(|| {
        if known.is_empty() {
            "no image in it has a name".into()
        } else {
            format!("images in it: {}", known.join(", "))
        }
    });
    let message = format!("cannot import {name}: no such image in {}", layout.path().display());
    Err(Diagnostic::error(message).help(help).into())
}

fn export(dir: &Path, image: &str, format: ExportFormat, arch: Arch, time: Time) -> Result<Extents, Failure> {
    let (store, name) = (store(dir)?, canonical(image));
    let tree = match format {
        ExportFormat::Oci => {
            let graph = store.graph(&name, &|_| None)?;
            let mut images = vec![(name.clone(), graph.clone())];
            images.extend(store.referrers(&name, &graph)?);
            graph::layout(&images, time)
        }
        ExportFormat::Docker => store.docker_archive(&store.image(&name, arch)?, time)?,
        ExportFormat::Filesystem => store.tree(&store.image(&name, arch)?)?,
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
            let help = format!("`moby cache ls --cache {}` lists the images", dir.display());
            return Err(Diagnostic::error(message).help(help).into());
        }
        reporter.info(&format!("removed {name}"));
    }
    remove_orphans(dir, &writer)?;
    clean(dir, &writer, reporter)
}

/// Removes signatures and other referrers whose images are gone.
fn remove_orphans(dir: &Path, writer: &Writer) -> Result<(), Failure> {
    for name in list::orphans(dir)? {
        writer.remove(&name)?;
    }
    Ok(())
}

/// Removes images until the cache has at most a size, in bytes.
fn shrink(dir: &Path, writer: &Writer, keep: Option<u64>, reporter: &dyn Reporter) -> Result<(), Failure> {
    let Some(keep) = keep else { return Ok(()) };
    for image in list::by_use(dir)? {
        if list::total(dir) <= keep {
            break;
        }
        writer.remove(&image.name)?;
        remove_orphans(dir, writer)?;
        writer.clean(&[])?;
        reporter.info(&format!("removed {}", image.name));
    }
    usage::clean(dir);
    let total = list::total(dir);
    reporter.info(&format!("the cache has {}", size(total)));
    if total > keep {
        reporter.warn(&format!(
            "the cache still exceeds --keep-size {}: no images are left to remove, other files take {}",
            size(keep),
            size(total)
        ));
    }
    Ok(())
}

fn clean(dir: &Path, writer: &Writer, reporter: &dyn Reporter) -> Result<(), Failure> {
    // Corrupt layers have the name of an image's layer, and would stay.
    let (_, corrupt) = LayerCache::verify(dir);
    let mut cleaned = writer.clean(&corrupt)?;
    for path in kernel::verify(dir).1.into_iter().chain(debian::verify(dir).1) {
        let _ = std::fs::remove_file(path);
    }
    for (files, bytes) in [build_record::clean(dir), pieces::clean(dir)] {
        cleaned.files += files;
        cleaned.bytes += bytes;
    }
    usage::clean(dir);
    let files = if cleaned.files == 1 { "file" } else { "files" };
    reporter.info(&format!("removed {} {files}, {}", cleaned.files, size(cleaned.bytes)));
    Ok(())
}
