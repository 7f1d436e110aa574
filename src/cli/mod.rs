//! The command line: arguments in, a call into the library, a report out.

mod build;
mod bundle;
mod cache;
mod check;
mod completion;
#[cfg(feature = "inspect")]
mod diff;
mod explain;
mod formats;
#[cfg(feature = "inspect")]
mod image;
mod inputs;
#[cfg(feature = "inspect")]
mod inspect;
#[cfg(not(feature = "inspect"))]
#[path = "inspect_disabled.rs"]
mod inspect;
mod linuxkit;
mod lock;
mod messages;
mod pkg;
#[cfg(feature = "registry")]
mod registry;
mod run;
#[cfg(feature = "sign")]
mod sign;
#[cfg(feature = "inspect")]
mod sources;
mod stdout;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use messages::Style;
use terminal::TerminalReporter;

use crate::arch::Arch;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::{store, time};

/// End of the long help and of the manual page.
const AFTER_HELP: &str = "\
Exit status:
  0  success
  1  the command failed, or `moby diff` found differences
  2  the command line or the YAML is invalid, or `moby diff` failed
  3  the time of `moby run --timeout` was up
  4  the machine of `moby run` ended before everything expected was seen

Environment:
  MOBY_CACHE         image cache directory
  LINUXKIT_CACHE     image cache directory, if MOBY_CACHE is not set
  MOBY_CACHE_FROM    read-only cache directories, as with --cache-from; separated as in PATH
  MOBY_OFFLINE       if set and not empty, `moby build`, `moby lock` and `moby bundle create`
                     contact no registry
  LINUXKIT_MIRROR    mirrors, as with --mirror; separated by spaces
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                     proxies for registries
  REGISTRY_AUTH_FILE, DOCKER_CONFIG
                     credentials file of podman, configuration directory of Docker
  NO_COLOR           if set and not empty, messages have no color; --color=always overrides it
  CI                 if set and not empty, no progress bars, even on a terminal
  COSIGN_PASSWORD    password of the private key of `moby sign --key` and
                     `moby build --provenance-key`
  SOURCE_DATE_EPOCH  time of generated files, in seconds since 1970 [default: 1492533000, as in LinuxKit]";

/// Turn a YAML file into bootable Linux images, without Docker and without root
#[derive(Debug, Parser)]
// As with LinuxKit, the last of an option that is given twice counts.
#[command(
    name = "moby",
    version,
    propagate_version = true,
    args_override_self = true,
    after_long_help = AFTER_HELP
)]
struct Moby {
    /// Print errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print the causes of errors, and for builds the work that was done. LEVEL is as in LinuxKit: 0 is
    /// --quiet, 1 is the default, 2 or more prints these
    #[arg(short, long, global = true, value_name = "LEVEL", require_equals = true, num_args = 0..=1, default_missing_value = "2")]
    verbose: Option<u8>,
    /// Image cache directory [default: $MOBY_CACHE, $LINUXKIT_CACHE or ~/.linuxkit/cache]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Read-only cache directory, searched after --cache; repeatable [default: $MOBY_CACHE_FROM]
    #[arg(long, global = true, value_name = "DIR")]
    cache_from: Vec<PathBuf>,
    #[command(flatten)]
    messages: messages::MessageOptions,
    #[cfg(feature = "registry")]
    #[command(flatten)]
    registry: registry::RegistryFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build images from YAML files
    Build(Box<build::Build>),
    /// Check YAML files without building
    Check(check::Check),
    /// Print the JSON Schema of the YAML, for editors
    Schema,
    /// Boot an image in QEMU
    Run(run::Run),
    /// Show the contents of an image file: disk, ISO, initrd, archive
    Inspect(inspect::Inspect),
    /// Compare two outputs, YAML files or images. Exits with status 1 if they differ, and with 2 on an error
    #[cfg(feature = "inspect")]
    Diff(diff::Diff),
    /// Build packages
    Pkg(pkg::Pkg),
    /// Write a lock file with the digests of images and the versions of Debian packages
    Lock(lock::LockCommand),
    /// Create, list and verify bundles: archives with everything that YAML files need, for offline builds
    Bundle(Box<bundle::BundleCommand>),
    /// Manage the image cache
    Cache(cache::Cache),
    /// Store the credentials for a registry
    #[cfg(feature = "registry")]
    Login(registry::Login),
    /// Remove the credentials for a registry
    #[cfg(feature = "registry")]
    Logout(registry::Logout),
    /// Sign images and files with a private key
    #[cfg(feature = "sign")]
    Sign(sign::Sign),
    /// Print the completions of a shell
    Completion(completion::Completion),
    /// List the output formats
    Formats(formats::Formats),
    /// Print the version
    Version,
}

/// Reason why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The work failed.
    Work(Diagnostics),
    /// The command line or the YAML is wrong.
    Usage(Diagnostics),
    /// `moby run` failed, with this exit status.
    Run(Diagnostics, u8),
    /// `moby diff` has printed differences.
    #[cfg(feature = "inspect")]
    Different,
}

impl<T: Into<Diagnostics>> From<T> for Failure {
    fn from(errors: T) -> Self {
        Failure::Work(errors.into())
    }
}

impl Failure {
    fn work(error: impl std::fmt::Display) -> Self {
        Failure::Work(Diagnostic::error(error.to_string()).into())
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Failure::Usage(Diagnostic::error(error.to_string()).into())
    }
}

impl Moby {
    fn run(self, style: Style) -> Result<(), Failure> {
        let reporter = TerminalReporter::new(style, self.quiet || self.verbose == Some(0));
        let environment = Environment::read(
            self.cache,
            self.cache_from,
            #[cfg(feature = "registry")]
            self.registry,
            style,
        )?;
        match self.command {
            Command::Build(build) => {
                build.run(environment, &reporter)?;
                if self.verbose.is_some_and(|level| level > 1) {
                    reporter.report_counters();
                }
                Ok(())
            }
            Command::Check(check) => check.run(&reporter),
            Command::Schema => print(&format!("{:#}\n", crate::config::schema::schema())),
            Command::Run(run) => run.run(environment.cache, &reporter),
            Command::Inspect(inspect) => inspect.run(&environment, &reporter),
            #[cfg(feature = "inspect")]
            Command::Diff(diff) => diff.run(&environment, &reporter),
            Command::Pkg(pkg) => pkg.run(environment.cache, &reporter),
            Command::Lock(lock) => lock.run(environment, &reporter),
            Command::Bundle(bundle) => bundle.run(environment, &reporter),
            Command::Cache(command) => command.run(environment, &reporter),
            #[cfg(feature = "registry")]
            Command::Login(login) => login.run(&environment.registry, &reporter),
            #[cfg(feature = "registry")]
            Command::Logout(logout) => logout.run(&reporter),
            #[cfg(feature = "sign")]
            Command::Sign(sign) => sign.run(environment, &reporter),
            Command::Completion(completion) => completion.run(),
            Command::Formats(formats) => formats.run(),
            Command::Version => print(concat!("moby ", env!("CARGO_PKG_VERSION"), "\n")),
        }
    }
}

/// Returns the definition of the command line, from which the reference and the manual pages are made.
pub fn command() -> clap::Command {
    Moby::command()
}

/// Values of the environment, read once.
pub struct Environment {
    /// Cache directory: the one given, else LinuxKit's.
    pub cache: Option<PathBuf>,
    /// Cache directories of others and the images installed with the program, which are only read.
    pub shared: Vec<PathBuf>,
    /// Time of generated files, in seconds since 1970.
    pub time: i64,
    /// Access to registries.
    #[cfg(feature = "registry")]
    pub registry: registry::RegistryFlags,
    /// Style of messages.
    pub style: Style,
}

impl Environment {
    fn read(
        cache_option: Option<PathBuf>,
        shared: Vec<PathBuf>,
        #[cfg(feature = "registry")] registry: registry::RegistryFlags,
        style: Style,
    ) -> Result<Environment, Failure> {
        // https://reproducible-builds.org/specs/source-date-epoch/
        let time = match std::env::var_os("SOURCE_DATE_EPOCH") {
            Some(text) if !text.is_empty() => time::parse(&text.to_string_lossy()).map_err(|error| {
                let help = "set SOURCE_DATE_EPOCH to seconds since 1970, as `git log -1 --format=%ct` prints them, or unset it";
                Failure::Usage(Diagnostic::error(error.to_string()).help(help).into())
            })?,
            _ => time::DEFAULT,
        };
        Ok(Environment {
            cache: cache(cache_option),
            shared: shared_caches(shared),
            time,
            #[cfg(feature = "registry")]
            registry,
            style,
        })
    }
}

impl Environment {
    /// Returns the sources of images: layouts, the cache, and those of others.
    pub fn image_sources(&self, layouts: &[PathBuf]) -> store::Options {
        store::Options {
            cache: self.cache.clone(),
            layouts: layouts.to_vec(),
            shared: self.shared.clone(),
            ..store::Options::default()
        }
    }
}

/// Returns the read-only cache directories: those given, else those that the environment names; then what
/// is installed with the program.
fn shared_caches(given: Vec<PathBuf>) -> Vec<PathBuf> {
    let value = std::env::var_os("MOBY_CACHE_FROM").unwrap_or_default();
    let named = std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty());
    let mut caches = if given.is_empty() { named.collect() } else { given };
    caches.extend(crate::installed::layout());
    caches
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    // Internal re-execution that ties QEMU to this process.
    if let Some(error) = crate::run::parent::exec_if_asked(std::env::args_os()) {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {error}\n").as_bytes());
        return ExitCode::FAILURE;
    }
    let moby = Moby::parse_from(linuxkit::respell(std::env::args_os()));
    let style = moby.messages.style(moby.verbose.is_some_and(|level| level > 1));
    let (errors, code) = match moby.run(style) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Work(errors)) => (errors, 1),
        Err(Failure::Usage(errors)) => (errors, 2),
        Err(Failure::Run(errors, status)) => (errors, status),
        #[cfg(feature = "inspect")]
        Err(Failure::Different) => return ExitCode::FAILURE,
    };
    let text: String = errors.0.iter().map(|error| style.diagnostic(error)).collect();
    messages::print(&text);
    ExitCode::from(code)
}

/// Returns the error for a user without a cache directory.
fn no_cache() -> Failure {
    Failure::Usage(store::no_cache().into())
}

/// Formats rows below a header, in aligned columns.
fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let lines = || std::iter::once(&header).chain(rows);
    let mut widths = [0; N];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines() {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Writes results to standard output. A closed pipe is not an error.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::work(error)),
        _ => Ok(()),
    }
}

/// Returns the host's architecture as Go names it, also if moby builds no images for it.
fn host_arch() -> &'static str {
    Arch::host().map_or(std::env::consts::ARCH, Arch::name)
}

/// Returns the number of threads: the one given, else one for each CPU core.
fn jobs(given: Option<u32>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    given.map_or_else(cores, |given| given as usize)
}

/// Returns the cache directory: the one given, else LinuxKit's.
fn cache(given: Option<PathBuf>) -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    given
        .or_else(|| variable("MOBY_CACHE"))
        .or_else(|| variable("LINUXKIT_CACHE"))
        .or_else(|| Some(std::env::home_dir()?.join(".linuxkit/cache")))
}
