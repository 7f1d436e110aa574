//! `moby login`, `moby logout`, `moby cache pull` and `moby cache push`.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::terminal::TerminalReporter;
use super::{Failure, host_arch};
use crate::arch::Arch;
use crate::bounded;
use crate::config::canonical;
use crate::diagnostic::{Diagnostic, one_line};
use crate::documents::attachment;
use crate::oci::registry::{Client, Credential, Credentials, Error, Mirror, Options, Platforms, registry_name};
use crate::oci::{ImageGraph, Referrers};
use crate::reporter::Reporter;
use crate::request::Registry;
use crate::store::Store;

/// Maximum length of an attached document, in bytes.
const MAX_ATTACHMENT: u64 = 512 << 20;

/// Access to registries.
#[derive(Clone, Debug, Args)]
pub struct RegistryFlags {
    /// Try MIRROR before REGISTRY, or, without `REGISTRY=`, before every registry; begin it with http:// for plain
    /// HTTP; repeatable
    #[arg(long, global = true, value_name = "[REGISTRY=]MIRROR")]
    mirror: Vec<String>,
    /// Trust the certificate authorities in a PEM file, in addition to those of the operating system; repeatable
    #[arg(long, global = true, value_name = "FILE")]
    cert_file: Vec<PathBuf>,
    /// Connect to a registry by HTTP instead of HTTPS (localhost needs no flag); repeatable
    #[arg(long, global = true, value_name = "REGISTRY")]
    plain_http: Vec<String>,
}

impl RegistryFlags {
    /// Creates a client with the stored credentials.
    pub fn client(&self) -> Client {
        self.client_with(Credentials::from_environment())
    }

    /// Returns access to registries, unless the network must not be used.
    pub fn access(&self, is_offline: bool, refresh: bool) -> Option<Registry> {
        let is_offline = is_offline || std::env::var_os("MOBY_OFFLINE").is_some_and(|value| !value.is_empty());
        (!is_offline).then(|| Registry {
            client: self.client().into(),
            refresh,
        })
    }

    fn client_with(&self, credentials: Credentials) -> Client {
        let environment = std::env::var("LINUXKIT_MIRROR").unwrap_or_default();
        let mirrors = self
            .mirror
            .iter()
            .map(String::as_str)
            .chain(environment.split_whitespace());
        Client::new(Options {
            mirrors: mirrors.map(Mirror::parse).collect(),
            cert_files: self.cert_file.clone(),
            plain_http: self.plain_http.clone(),
            credentials,
        })
    }
}

/// Arguments of `moby login`.
#[derive(Debug, Args)]
pub struct Login {
    /// Registry, such as ghcr.io or localhost:5000
    #[arg(default_value = "docker.io")]
    registry: String,
    /// User name
    #[arg(short, long)]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Login {
    pub fn run(self, flags: &RegistryFlags, reporter: &TerminalReporter) -> Result<(), Failure> {
        let user = match self.username {
            Some(user) => user,
            None if self.password_stdin => {
                return Err(usage("--password-stdin needs --username", "add `--username USER`"));
            }
            None => ask("Username: ")?,
        };
        let password = if self.password_stdin {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        } else {
            rpassword::prompt_password("Password: ")
        };
        let password = password.map_err(|error| failure_text(format!("cannot read the password: {error}")))?;
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            let help = if self.password_stdin {
                "pipe the password into the command"
            } else {
                "enter the password or access token at the prompt"
            };
            return Err(usage("the password is empty", help));
        }
        let credential = Credential::Password {
            user: user.clone(),
            password: password.to_owned(),
        };
        let client = flags.client_with(Credentials::single(credential));
        let registry = registry_name(&self.registry);
        client.check_login(registry).map_err(failure)?;
        let stored = Credentials::from_environment().store(registry, &user, password);
        let path = stored.map_err(failure)?;
        reporter.info(&format!(
            "logged in to {registry} as {user}; stored in {}",
            path.display()
        ));
        Ok(())
    }
}

/// Arguments of `moby logout`.
#[derive(Debug, Args)]
pub struct Logout {
    /// Registry, such as ghcr.io or localhost:5000
    #[arg(default_value = "docker.io")]
    registry: String,
}

impl Logout {
    pub fn run(self, reporter: &TerminalReporter) -> Result<(), Failure> {
        let removed = Credentials::from_environment()
            .remove(registry_name(&self.registry))
            .map_err(failure)?;
        match removed {
            Some(path) => reporter.info(&format!(
                "removed the credentials for {} from {}",
                self.registry,
                path.display()
            )),
            None => reporter.info(&format!("no credentials for {} are stored", self.registry)),
        }
        Ok(())
    }
}

/// Arguments of `moby cache pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// Images, or YAML files (ending in .yml or .yaml) whose images are pulled
    #[arg(required = true, value_name = "IMAGE|FILE")]
    images: Vec<String>,
    /// Architecture; repeatable [default: the host's]
    #[arg(long, value_name = "ARCH")]
    arch: Vec<Arch>,
    /// Pull every platform of each image
    #[arg(long, conflicts_with = "arch")]
    all_platforms: bool,
}

impl Pull {
    pub fn run(self, cache: &Path, flags: &RegistryFlags, reporter: &TerminalReporter) -> Result<(), Failure> {
        let platforms = if self.all_platforms {
            Platforms::All
        } else if self.arch.is_empty() {
            Platforms::Linux(vec![host_arch().parse().map_err(|_| {
                usage(
                    "moby does not know this host's architecture",
                    "pass --arch amd64, arm64, riscv64 or s390x",
                )
            })?])
        } else {
            Platforms::Linux(self.arch)
        };
        let client = flags.client();
        for name in images(&self.images)? {
            let pulled = client.pull(&name, &platforms, cache, None, reporter).map_err(failure)?;
            reporter.info(&format!("pulled {name}@{}", pulled.digest));
        }
        Ok(())
    }
}

/// Expands YAML files to the images that they name, each image once.
fn images(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut images: Vec<String> = Vec::new();
    for text in given {
        let found = if [".yml", ".yaml"].iter().any(|extension| text.ends_with(extension)) {
            let config = super::check::load(&[PathBuf::from(text)])?;
            config.images().into_iter().map(|(_, image)| image).collect()
        } else {
            vec![text.clone()]
        };
        for image in found.iter().filter(|image| !image.starts_with("@pkg:")) {
            let name = canonical(image);
            if !images.contains(&name) {
                images.push(name);
            }
        }
    }
    Ok(images)
}

/// Arguments of `moby cache push`.
#[derive(Debug, Args)]
pub struct Push {
    /// Image in the cache
    image: String,
    /// Name to push it under [default: its own]
    #[arg(value_name = "DEST")]
    to: Option<String>,
    /// Attach an SBOM (SPDX or CycloneDX), an in-toto statement such as provenance, or a Sigstore bundle
    /// with one to the image; repeatable
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
}

impl Push {
    pub fn run(self, store: &Store, flags: &RegistryFlags, reporter: &TerminalReporter) -> Result<(), Failure> {
        let name = canonical(&self.image);
        let graph = store.graph(&name, &|_| None)?;
        let to = self.to.map_or_else(|| name.clone(), |to| canonical(&to));
        let mut referrers = store.referrers_of(&graph)?;
        for path in &self.attach {
            referrers.push(attachment(path, &graph)?);
        }
        let digest = flags
            .client()
            .push(&graph, &referrers, &name, &to, reporter)
            .map_err(failure)?;
        reporter.info(&format!("pushed {to}@{digest}"));
        Ok(())
    }
}

/// Reads a document to attach to an image, and returns it with the digest of its subject.
fn attachment(path: &Path, image: &ImageGraph) -> Result<(String, Referrers), Failure> {
    let bytes = bounded::read(path, MAX_ATTACHMENT).map_err(|error| {
        let message = format!("cannot attach {}: {error}", path.display());
        Diagnostic::error(message).caused_by(error)
    })?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(attachment::attach(&file, bytes, image)?)
}

fn ask(question: &str) -> Result<String, Failure> {
    let mut line = String::new();
    let asked = std::io::stderr().write_all(question.as_bytes());
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut line));
    read.map_err(|error| failure_text(format!("cannot read the user name: {error}")))?;
    Ok(line.trim().to_owned())
}

/// Turns an error of the registry client into what the user sees.
pub fn failure(error: Error) -> Failure {
    let mut diagnostic = Diagnostic::error(one_line(&error.to_string()));
    diagnostic.help.extend(error.help());
    Failure::Work(diagnostic.into())
}

fn failure_text(message: String) -> Failure {
    Failure::Work(Diagnostic::error(message).into())
}

fn usage(message: &str, help: &str) -> Failure {
    Failure::Usage(Diagnostic::error(message).help(help).into())
}
