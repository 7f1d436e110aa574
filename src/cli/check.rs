//! `moby check`, and how YAMLs are read for `moby build`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::report::Report;
use crate::assemble;
use crate::config::{self, Config, Source};
use crate::reporter::Reporter;
use crate::resolve::packages;

/// The arguments of `moby check`.
#[derive(Debug, Args)]
pub struct Check {
    /// YAML files, merged from left to right as in `moby build`; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Check {
    pub fn run(&self, report: &Report) -> Result<(), Failure> {
        packages::tag(&load(&self.files)?).map_err(Failure::Usage)?;
        for file in &self.files {
            report.info(&format!("{}: no mistakes found", file.display()));
        }
        Ok(())
    }
}

/// Reads and merges YAML files, and finds what is wrong with them without any image.
pub fn load(files: &[PathBuf]) -> Result<Config, Failure> {
    let mut sources = Vec::new();
    for file in files {
        let mut text = Vec::new();
        let stdin = file.as_os_str() == "-";
        if let Some(address) = file
            .to_str()
            .filter(|file| file.starts_with("http://") || file.starts_with("https://"))
        {
            return Err(Failure::usage(format!(
                "{address} is on the network, which moby does not use\nhelp: `curl -L {address} | moby build -`, or fetch it first"
            )));
        }
        let read = match stdin {
            true => std::io::stdin().lock().read_to_end(&mut text),
            false => std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut text)),
        };
        read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
        let dir = file.parent().filter(|_| !stdin).map(Path::to_owned).unwrap_or_default();
        sources.push(Source {
            name: if stdin {
                "standard input".into()
            } else {
                file.display().to_string()
            },
            dir,
            text,
        });
    }
    let config = config::load(&sources).map_err(Failure::Usage)?;
    assemble::check(&config).map_err(Failure::Usage)?;
    Ok(config)
}
