//! `moby bundle`: everything that YAML files need, in one archive.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use extents::emit;

use super::inputs::Inputs;
use super::terminal::TerminalReporter;
use super::{Environment, Failure, check, host_arch};
use crate::arch::Arch;
use crate::bounded;
use crate::bundle::{self, Bundle, Kind, Yaml};
use crate::diagnostic::{Diagnostic, Diagnostics, size};
use crate::lock::{self, Lock};
use crate::oci::Layout;
use crate::plan::formats::Format;
use crate::reporter::Reporter;
use crate::trust::Policy;

/// Arguments of `moby bundle`.
#[derive(Debug, Args)]
pub struct BundleCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Collect the images, files and locks of YAML files in an OCI archive
    Create(Create),
    /// List the images and files of a bundle
    #[command(visible_alias = "list")]
    Ls {
        /// Bundle file
        #[arg(value_name = "BUNDLE")]
        path: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check every blob and file of a bundle against its digest
    Verify {
        /// Bundle file
        #[arg(value_name = "BUNDLE")]
        path: PathBuf,
        /// Base bundle, as given to `bundle create --base`; repeatable
        #[arg(long, value_name = "PATH")]
        layout: Vec<PathBuf>,
    },
}

/// Arguments of `moby bundle create`.
#[derive(Debug, Args)]
struct Create {
    /// YAML files, each built separately
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Bundle file to write
    #[arg(short, long, value_name = "BUNDLE")]
    output: PathBuf,
    /// Architecture to build for; repeatable [default: the host's]
    #[arg(long, value_name = "ARCH")]
    arch: Vec<Arch>,
    /// Include every platform of each image. Packages are built for --arch only
    #[arg(long)]
    all_platforms: bool,
    /// Include the boot loaders of these output formats, separated by commas [default: all that are
    /// available]
    #[arg(short, long = "format", value_name = "FORMAT", value_delimiter = ',')]
    formats: Vec<String>,
    /// Omit content of this base bundle. Builds then need both bundles
    #[arg(long, value_name = "BUNDLE")]
    base: Option<PathBuf>,
    /// Read images from this OCI layout directory, OCI archive or `docker save` tar, before the
    /// cache; repeatable
    #[arg(long, value_name = "PATH")]
    layout: Vec<PathBuf>,
    /// Include this policy file with its keys, in place of those that the YAML files name. Builds from
    /// the bundle use it, unless they have a policy of their own
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Take Debian packages from this directory of .deb files instead of running apt-get
    #[arg(long, value_name = "DIR")]
    debs: Option<PathBuf>,
    /// Do not contact registries: use only images in --layout and the cache
    #[arg(long)]
    offline: bool,
    /// Number of threads [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
}

impl BundleCommand {
    pub fn run(self, environment: Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        match self.command {
            Command::Create(create) => create.run(environment, reporter),
            Command::Ls { path, json } => ls(&open(&path)?, json),
            Command::Verify { path, layout } => verify(&path, &layout, reporter),
        }
    }
}

impl Create {
    fn run(self, environment: Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        let arches = if self.arch.is_empty() {
            host_arch().parse().into_iter().collect()
        } else {
            self.arch.clone()
        };
        let base = self.base.as_deref().map(open).transpose()?;
        let options = bundle::Options {
            formats: self.formats(&arches)?,
            arches,
            all_platforms: self.all_platforms,
            #[cfg(feature = "registry")]
            registry: environment.registry.access(self.offline, false),
            image_sources: environment.image_sources(&self.layout),
            debs: self.debs,
            policy: self.policy.clone(),
            base: base.as_ref(),
            time: environment.time,
            jobs: super::jobs(self.jobs),
        };
        let yamls: Result<Vec<Yaml>, Failure> = self
            .files
            .iter()
            .map(|file| yaml(file, self.policy.as_deref()))
            .collect();
        let archive = bundle::create(&yamls?, &options, reporter)?;
        emit::to_path(&archive, &self.output).map_err(|error| {
            let message = format!("cannot write {}: {error}", self.output.display());
            Diagnostic::error(message).caused_by(error)
        })?;
        reporter.info(&format!("wrote {}, {}", self.output.display(), size(archive.len())));
        Ok(())
    }

    /// Returns the formats, each of which must be for one of the architectures.
    fn formats(&self, arches: &[Arch]) -> Result<Vec<&'static Format>, Failure> {
        let mut formats = Vec::new();
        for name in &self.formats {
            let format = super::build::format(name).map_err(|error| Failure::Usage(error.into()))?;
            if !format.arches.iter().any(|arch| arches.contains(arch)) {
                let arches: Vec<&str> = arches.iter().map(|arch| arch.name()).collect();
                let message = format!("format {name} does not support {}", arches.join(", "));
                let help = "`moby formats` lists the architectures";
                return Err(Failure::Usage(Diagnostic::error(message).help(help).into()));
            }
            formats.push(format);
        }
        Ok(formats)
    }
}

/// Reads a YAML file with its lock and its policy, or the policy that is given.
fn yaml(file: &Path, policy: Option<&Path>) -> Result<Yaml, Failure> {
    if file.as_os_str() == "-" {
        let message = "cannot bundle standard input: a bundle holds YAML files under their names";
        let help = "save the YAML to a file";
        return Err(Failure::Usage(Diagnostic::error(message).help(help).into()));
    }
    let source = check::source(file, &Inputs::default()).map_err(|error| Failure::Usage(error.into()))?;
    let config = check::parse(std::slice::from_ref(&source))?;
    let lock = lock::read(&file.with_extension("lock")).map_err(Diagnostics::from)?;
    let files = RefCell::new(Vec::new());
    let read = |path: &Path, max: u64| {
        let bytes = bounded::read(path, max)?;
        let mut files = files.borrow_mut();
        let kind = if files.is_empty() { Kind::Policy } else { Kind::Key };
        files.push((kind, path.to_owned(), bytes.clone()));
        Ok(bytes)
    };
    let policy = policy.map(Path::to_owned).or_else(|| config.policy());
    let policy = policy
        .map(|path| Policy::read_by(&path, &read))
        .transpose()
        .map_err(Failure::Usage)?;
    let locked = lock.as_ref().map(Lock::signers).unwrap_or_default();
    Ok(Yaml {
        path: file.to_owned(),
        config,
        text: source.text,
        policy: policy.map(|policy| policy.with_locked(locked)),
        policy_files: files.into_inner(),
        lock,
    })
}

/// Opens a bundle; fails for a layout without bundle.json.
fn open(path: &Path) -> Result<Bundle, Failure> {
    Bundle::open(path)?.ok_or_else(|| {
        let message = format!("{} is not a bundle: it has no bundle.json", path.display());
        let help = "`moby bundle create` makes one; builds take any image layout with --layout";
        Diagnostic::error(message).help(help).into()
    })
}

fn ls(bundle: &Bundle, is_json: bool) -> Result<(), Failure> {
    let manifest = &bundle.manifest;
    if is_json {
        return super::print(&manifest.text());
    }
    let short = |digest: &str| {
        digest
            .trim_start_matches("sha256:")
            .chars()
            .take(12)
            .collect::<String>()
    };
    let images = manifest.images.iter().map(|image| {
        let platforms = image.platforms.join(",");
        [image.name.clone(), short(&image.digest), size(image.size), platforms]
    });
    let images: Vec<[String; 4]> = images.collect();
    let mut text = super::table(["IMAGE", "DIGEST", "SIZE", "PLATFORMS"], &images);
    if !manifest.files.is_empty() {
        let files = manifest.files.iter().map(|file| {
            let kind = serde_json::to_value(file.kind).unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default().to_owned();
            [file.path.clone(), short(&file.digest), size(file.size), kind]
        });
        let files: Vec<[String; 4]> = files.collect();
        text.push('\n');
        text.push_str(&super::table(["FILE", "DIGEST", "SIZE", "KIND"], &files));
    }
    super::print(&text)
}

fn verify(path: &Path, layouts: &[PathBuf], reporter: &TerminalReporter) -> Result<(), Failure> {
    let mut bundle = open(path)?;
    let others: Result<Vec<Layout>, _> = layouts.iter().map(|path| Layout::open(path)).collect();
    bundle.layout.complete(others?.iter().map(Layout::files).collect());
    let verified = bundle::verify(&bundle, reporter).map_err(|errors| Failure::Work(Diagnostics(errors)))?;
    reporter.info(&format!(
        "{}: {} blobs and {} files intact",
        path.display(),
        verified.blobs,
        verified.files
    ));
    Ok(())
}
