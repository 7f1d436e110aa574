//! `moby check`, and reading YAML files for it and `moby build`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::inputs::Inputs;
use super::terminal::TerminalReporter;
use crate::assemble;
use crate::bounded;
use crate::bundle::Kind;
use crate::config::{self, Config, MAX_YAML, Source};
use crate::diagnostic::Diagnostic;
use crate::resolve::{packages, sources};
use crate::trust::Policy;

/// Arguments of `moby check`.
#[derive(Debug, Args)]
pub struct Check {
    /// YAML files, merged from left to right as in `moby build`; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Check {
    pub fn run(&self, reporter: &TerminalReporter) -> Result<(), Failure> {
        let config = load(&self.files)?;
        packages::tag(&config, None).map_err(Failure::Usage)?;
        if let Some(policy) = config.policy() {
            Policy::read(&policy).map_err(Failure::Usage)?;
        }
        let missing = sources::check_all(&config, None);
        if !missing.is_empty() {
            return Err(Failure::Usage(config.locate_all(missing)));
        }
        for file in &self.files {
            reporter.valid(file);
        }
        Ok(())
    }
}

/// Reads, merges and checks YAML files, without images.
pub fn load(files: &[PathBuf]) -> Result<Config, Failure> {
    load_from(files, &Inputs::default())
}

/// Reads, merges and checks YAML files that may be in a bundle.
pub fn load_from(files: &[PathBuf], inputs: &Inputs) -> Result<Config, Failure> {
    let sources: Result<Vec<Source>, Diagnostic> = files.iter().map(|file| source(file, inputs)).collect();
    parse(&sources.map_err(|error| Failure::Usage(error.into()))?)
}

/// Merges and checks YAML texts.
pub fn parse(sources: &[Source]) -> Result<Config, Failure> {
    let config = config::load(sources).map_err(Failure::Usage)?;
    assemble::check(&config).map_err(Failure::Usage)?;
    Ok(config)
}

/// Reads a YAML file.
pub fn source(file: &Path, inputs: &Inputs) -> Result<Source, Diagnostic> {
    let address = file
        .to_str()
        .filter(|file| file.starts_with("http://") || file.starts_with("https://"));
    if let Some(address) = address {
        let message = format!("cannot read {address}: moby does not download YAML files");
        return Err(Diagnostic::error(message).help(format!("download it first: `curl -LO {address}`")));
    }
    let stdin = file.as_os_str() == "-";
    let name = if stdin {
        "standard input".into()
    } else {
        file.display().to_string()
    };
    let dir = file.parent().filter(|_| !stdin).map(Path::to_owned).unwrap_or_default();
    if let Some(text) = inputs.read(Kind::Yaml, file)? {
        return Ok(Source { name, dir, text });
    }
    let text = if stdin {
        bounded::from(&mut io::stdin().lock(), MAX_YAML)
    } else {
        bounded::read(file, MAX_YAML)
    };
    let text = text.map_err(|error| {
        let diagnostic = Diagnostic::error(format!("cannot read {name}: {error}"));
        if error.kind() == io::ErrorKind::FileTooLarge {
            diagnostic.help("put large contents into files of their own, and name them with `source:`")
        } else {
            diagnostic.caused_by(error)
        }
    })?;
    Ok(Source { name, dir, text })
}
