//! `moby pkg`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::terminal::TerminalReporter;
use super::{Failure, host_arch};
use crate::arch::Arch;
use crate::pkg;

/// Arguments of `moby pkg`.
#[derive(Debug, Args)]
pub struct Pkg {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build packages into the image cache
    Build {
        /// Package directories, each with a build.yml
        #[arg(required = true, value_name = "DIR")]
        dirs: Vec<PathBuf>,
        /// Target architecture: amd64 or arm64 [default: the host's]
        #[arg(long, default_value = host_arch(), hide_default_value = true)]
        arch: Arch,
        /// Take Debian packages from this directory of .deb files instead of running apt-get
        #[arg(long, value_name = "DIR")]
        debs: Option<PathBuf>,
    },
    /// Print the image names of packages
    ShowTag {
        /// Package directories, each with a build.yml
        #[arg(required = true, value_name = "DIR")]
        dirs: Vec<PathBuf>,
    },
}

impl Pkg {
    pub fn run(self, given: Option<PathBuf>, reporter: &TerminalReporter) -> Result<(), Failure> {
        match self.command {
            Command::ShowTag { dirs } => {
                for dir in dirs {
                    super::print(&format!("{}\n", pkg::tag(&dir).map_err(Failure::Work)?))?;
                }
            }
            Command::Build { dirs, arch, debs } => {
                let store = given.ok_or_else(super::no_cache)?;
                let options = pkg::Options {
                    store,
                    arch,
                    debs,
                    locked: Vec::new(),
                    refresh: false,
                    jobs: super::jobs(None),
                };
                for dir in dirs {
                    let name = pkg::build(&dir, &options, reporter).map_err(Failure::Work)?;
                    super::print(&format!("{name}\n"))?;
                }
            }
        }
        Ok(())
    }
}
