//! The YAML: parsing, checking and merging to a [`Config`].

mod check;
mod container;
pub mod disk;
mod merge;
pub(crate) mod node;
pub mod schema;
mod syntax;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Diagnostics, Snippet, Span};
use crate::oci::reference::{self, Reference};
pub use container::{ContainerConfig, Device, Id, IdMapping, Interface, Mount, Namespaces, Runtime, parse_label};
use disk::Disk;

/// Maximum number of errors that are shown: each has a line, which may be as long as the file.
const MAX_DIAGNOSTICS: usize = 100;

/// Maximum length of a YAML file, in bytes.
pub const MAX_YAML: u64 = 32 << 20;

/// Prefix of a reference to a package directory.
const PACKAGE: &str = "@pkg:";

/// YAML text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name in messages.
    pub name: String,
    /// Directory to which `@pkg:` is relative.
    pub dir: PathBuf,
    /// Text.
    pub text: Vec<u8>,
}

/// Kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kernel {
    /// Image with the kernel; empty for a system without a kernel.
    pub image: String,
    /// Command line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
    /// File in the image; `kernel` if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub binary: String,
    /// Tar with modules in the image, `none` for none; `kernel.tar` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar: Option<String>,
    /// Cpio archive with microcode in the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ucode: Option<String>,
}

/// Container of a system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Name.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Restart policy of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Fields that the label of the image may have too.
    #[serde(flatten)]
    pub config: ContainerConfig,
}

/// Restart policy of a service that ends. LinuxKit restarts none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// Started again after a delay, whatever its exit status: the default.
    Always,
    /// Started once.
    No,
}

/// File of the root filesystem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct File {
    /// Path.
    pub path: String,
    /// Creates a directory.
    pub directory: bool,
    /// Target of a symbolic link.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub symlink: String,
    /// Content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// File of the host with the content.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Format, `yaml` or `json`, in which the configuration itself is the content.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// Skips the file if `source` is missing.
    pub optional: bool,
    /// Octal permissions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    /// Group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<Id>,
}

/// Volume, which containers bind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Image with the content; without one, the volume is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Forbids writable binds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
    /// Format of the content: `filesystem` or `oci`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// Platforms of the image, for `oci`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
}

/// Boot loaders of disks and ISO images. LinuxKit has no such section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Boot {
    /// Image with syslinux; moby's own if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bios: String,
    /// Image with systemd-boot; moby's own if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub efi: String,
    /// Image whose `/init` mounts the root filesystem of a disk or ISO image; moby's own if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initrd: String,
    /// Image with the Raspberry Pi firmware; moby's own if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rpi: String,
    /// Timeout of the boot menu, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
}

impl Boot {
    fn is_empty(&self) -> bool {
        *self == Boot::default()
    }
}

/// Signatures of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trust {
    /// Policy file, relative to the YAML file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// Images that must be signed, in LinuxKit's form.
    #[serde(skip_serializing)]
    pub image: Vec<String>,
    /// Organizations whose images must be signed, in LinuxKit's form.
    #[serde(skip_serializing)]
    pub org: Vec<String>,
}

impl Trust {
    fn has_no_policy(&self) -> bool {
        self.policy.is_empty()
    }

    /// Returns whether LinuxKit's form names an image, or its organization.
    pub fn names(&self, name: &str) -> bool {
        let Ok(wanted) = reference::parse(name) else {
            return false;
        };
        let is_image = |image: &String| {
            reference::parse(image).is_ok_and(|image| {
                image.repository == wanted.repository && (image.tag.is_none() || image.tag == wanted.tag)
            })
        };
        let is_org = |org: &String| {
            // Expanded as part of a name: `linuxkit` is docker.io/linuxkit.
            let name = reference::parse(&format!("{org}/x"));
            name.is_ok_and(|name| {
                wanted.repository.rsplit_once('/').map(|(org, _)| org) == name.repository.strip_suffix("/x")
            })
        };
        self.image.iter().any(is_image) || self.org.iter().any(is_org)
    }
}

/// Merged YAML files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Kernel.
    pub kernel: Kernel,
    /// Boot loaders.
    #[serde(skip_serializing_if = "Boot::is_empty")]
    pub boot: Boot,
    /// Images unpacked into the root.
    pub init: Vec<String>,
    /// Containers run once at boot, in order.
    pub onboot: Vec<ContainerSpec>,
    /// Containers run once at shutdown, in order.
    pub onshutdown: Vec<ContainerSpec>,
    /// Containers kept running.
    pub services: Vec<ContainerSpec>,
    /// Files.
    pub files: Vec<File>,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// Partitions of disks.
    #[serde(skip_serializing_if = "Disk::is_empty")]
    pub disk: Disk,
    /// Signatures of images.
    #[serde(skip_serializing_if = "Trust::has_no_policy")]
    pub trust: Trust,
    /// Places of the values, by path in the merged configuration.
    #[serde(skip)]
    spans: BTreeMap<String, Span>,
    #[serde(skip)]
    sources: Vec<Source>,
}

/// Parses, merges and checks sources, from left to right.
///
/// # Errors
/// Every mistake in the first source that has one, or in the merged configuration, each with its line.
pub fn load(sources: &[Source]) -> Result<Config, Diagnostics> {
    let mut config = Config {
        sources: sources.to_vec(),
        ..Config::default()
    };
    for (at, source) in sources.iter().enumerate() {
        let mut spans = BTreeMap::new();
        let part = read(source, at, &mut spans).map_err(|diagnostics| diagnose(diagnostics, sources))?;
        config.append(part, spans);
    }
    let diagnostics = config.check();
    if diagnostics.is_empty() {
        Ok(config)
    } else {
        Err(diagnose(diagnostics, sources))
    }
}

fn read(source: &Source, at: usize, spans: &mut BTreeMap<String, Span>) -> Result<Config, Vec<Diagnostic>> {
    let start = Span {
        source: at,
        line: 1,
        column: 1,
    };
    let parsed = node::parse(&source.text, at).map_err(|diagnostic| vec![diagnostic])?;
    let node = parsed.ok_or_else(|| vec![Diagnostic::at(start, "the file is empty")])?;
    let diagnostics = schema::check(&node, None, &mut |path, span| {
        spans.insert(path.to_owned(), span);
    });
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    serde_json::from_value(node.to_json()).map_err(|error| vec![Diagnostic::at(node.span, error.to_string())])
}

impl Config {
    /// Returns the package directories that `@pkg:` references name, each with the path of its field.
    pub fn packages(&self) -> Vec<(String, PathBuf)> {
        let mut config = self.clone();
        let images = config.images_mut().into_iter().filter_map(|(field, image)| {
            let dir = image.strip_prefix(PACKAGE)?;
            let source = self.sources.get(self.span(&field).source);
            let base = source.map(|source| source.dir.clone()).unwrap_or_default();
            Some((field, base.join(dir)))
        });
        images.collect()
    }

    /// Returns the path of the policy file that `trust.policy` names.
    pub fn policy(&self) -> Option<PathBuf> {
        let source = self.sources.get(self.span("trust.policy").source);
        let base = source.map(|source| source.dir.clone()).unwrap_or_default();
        (!self.trust.policy.is_empty()).then(|| base.join(&self.trust.policy))
    }

    /// Replaces the image reference at a path that [`Config::packages`] returned.
    pub fn set_image(&mut self, field: &str, name: &str) {
        for (path, image) in self.images_mut() {
            if path == field {
                name.clone_into(image);
            }
        }
    }

    /// Returns the fields that name images, with their values.
    pub fn images(&self) -> Vec<(String, String)> {
        let mut config = self.clone();
        let images = config
            .images_mut()
            .into_iter()
            .map(|(field, image)| (field, image.clone()));
        images.filter(|(_, image)| !image.is_empty()).collect()
    }

    /// Lists the fields that name images, with their paths.
    fn images_mut(&mut self) -> Vec<(String, &mut String)> {
        let mut images = vec![
            ("kernel.image".to_owned(), &mut self.kernel.image),
            ("boot.bios".to_owned(), &mut self.boot.bios),
            ("boot.efi".to_owned(), &mut self.boot.efi),
            ("boot.initrd".to_owned(), &mut self.boot.initrd),
            ("boot.rpi".to_owned(), &mut self.boot.rpi),
        ];
        let init = self.init.iter_mut().enumerate();
        images.extend(init.map(|(at, image)| (format!("init[{at}]"), image)));
        let sections = [
            ("onboot", &mut self.onboot),
            ("onshutdown", &mut self.onshutdown),
            ("services", &mut self.services),
        ];
        for (section, containers) in sections {
            let containers = containers.iter_mut().enumerate();
            images.extend(containers.map(|(at, image)| (format!("{section}[{at}].image"), &mut image.image)));
        }
        let volumes = self.volumes.iter_mut().enumerate();
        images.extend(volumes.map(|(at, volume)| (format!("volumes[{at}].image"), &mut volume.image)));
        images
    }

    /// Returns the files of the root filesystem and of partitions, each with its path.
    pub fn all_files(&self) -> Vec<(String, &File)> {
        let files = self.files.iter().enumerate();
        let mut all: Vec<(String, &File)> = files.map(|(at, file)| (format!("files[{at}]"), file)).collect();
        for (number, partition) in self.disk.partitions.iter().enumerate() {
            let files = partition.files.iter().enumerate();
            all.extend(files.map(|(at, file)| (format!("disk.partitions[{number}].files[{at}]"), file)));
        }
        all
    }

    /// Returns the three lists of containers with their names.
    pub fn sections(&self) -> [(&'static str, &[ContainerSpec]); 3] {
        [
            ("onboot", &self.onboot),
            ("onshutdown", &self.onshutdown),
            ("services", &self.services),
        ]
    }

    /// Returns the place of a value (`services[0].image`), or of the nearest value around it.
    pub fn span(&self, path: &str) -> Span {
        let mut path = path;
        loop {
            if let Some(span) = self.spans.get(path) {
                return *span;
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = path.get(..at).unwrap_or_default(),
                None => return self.spans.get("").copied().unwrap_or_default(),
            }
        }
    }

    /// Attaches its place to an error about a value.
    pub fn locate(&self, error: Diagnostic) -> Diagnostics {
        self.locate_all(vec![error])
    }

    /// Attaches their places to errors about values.
    pub fn locate_all(&self, errors: Vec<Diagnostic>) -> Diagnostics {
        let located = errors.into_iter().map(|error| {
            // In another file.
            if error.snippet.is_some() {
                return error;
            }
            let span = self.span(&error.field);
            error.with_span(span)
        });
        diagnose(located.collect(), &self.sources)
    }

    /// Attaches a field and its place to an error.
    pub fn error_at(&self, field: &str, error: impl Into<Diagnostic>) -> Diagnostics {
        self.locate(Diagnostic {
            field: field.to_owned(),
            ..error.into()
        })
    }

    /// Returns a copy with canonical image names, for metadata files.
    pub fn canonical(&self) -> Config {
        let mut config = self.clone();
        for (path, image) in config.images_mut() {
            if !path.starts_with("volumes")
                && let Ok(reference) = reference::parse(image)
            {
                *image = reference.to_string();
            }
        }
        config
    }
}

/// Returns the expanded form of an image reference; the tag is unchanged.
pub fn canonical(image: &str) -> String {
    match reference::parse(image) {
        Ok(reference) => Reference::to_string(&reference),
        Err(_) => image.to_owned(),
    }
}

/// Attaches lines of the sources to diagnostics.
pub(crate) fn diagnose(mut diagnostics: Vec<Diagnostic>, sources: &[Source]) -> Diagnostics {
    let more = diagnostics.len().saturating_sub(MAX_DIAGNOSTICS);
    diagnostics.truncate(MAX_DIAGNOSTICS);
    if let Some(last) = diagnostics.last_mut().filter(|_| more > 0) {
        last.message
            .push_str(&format!(" (and {more} more errors after this one)"));
    }
    let located = diagnostics.into_iter().map(|diagnostic| {
        let span = diagnostic.span.filter(|_| diagnostic.snippet.is_none());
        let Some(source) = span.and_then(|span| sources.get(span.source)) else {
            return diagnostic;
        };
        let text = String::from_utf8_lossy(&source.text);
        let line = diagnostic.span.map_or(0, |span| span.line.saturating_sub(1));
        let snippet = Snippet {
            file: source.name.clone(),
            line: text.lines().nth(line).unwrap_or_default().to_owned(),
        };
        diagnostic.with_snippet(snippet)
    });
    Diagnostics(located.collect())
}
