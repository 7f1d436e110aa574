//! The command line: arguments in, a call into the library, a report out.

mod build;
mod cache;
mod check;
mod formats;
mod inspect;
mod loader;
mod pkg;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Turn a YAML file into bootable Linux images: offline, without Docker, without root.
#[derive(Debug, Parser)]
#[command(name = "moby", version, propagate_version = true)]
struct Moby {
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build images from YAML files
    Build(Box<build::Build>),
    /// Check YAML files, and build nothing
    Check(check::Check),
    /// Print the JSON Schema of the YAML, for editors
    Schema,
    /// Boot in QEMU what was built
    Run(run::Run),
    /// Show what is in a disk, a CD or an initrd
    Inspect(inspect::Inspect),
    /// Build packages
    Pkg(pkg::Pkg),
    /// Look after the folder of images
    Cache(cache::Cache),
    /// List the output formats
    Formats(formats::Formats),
}

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The work failed.
    Work(String),
    /// The command line or the YAML is wrong.
    Usage(String),
}

impl Failure {
    fn work(error: impl std::fmt::Display) -> Self {
        Failure::Work(error.to_string())
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl Moby {
    fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Build(build) => build.run(self.quiet),
            Command::Check(check) => check.run(self.quiet),
            Command::Schema => print(&format!("{:#}\n", crate::config::schema::schema())),
            Command::Run(run) => run.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Pkg(pkg) => pkg.run(self.quiet),
            Command::Cache(cache) => cache.run(self.quiet),
            Command::Formats(formats) => formats.run(),
        }
    }
}

/// Runs what the arguments say.
pub fn main() -> ExitCode {
    let moby = Moby::parse();
    let result = crate::time::check().map_err(Failure::Usage).and_then(|()| moby.run());
    let (message, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Work(message)) => (message, 1),
        Err(Failure::Usage(message)) => (message, 2),
    };
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Writes results to standard output. A reader that has gone away is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::work(error)),
        _ => Ok(()),
    }
}

/// The host's architecture as Go names it.
fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// How many threads: as given, else one a processor.
fn jobs(given: Option<usize>) -> usize {
    given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The cache folder: as given, else LinuxKit's.
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
