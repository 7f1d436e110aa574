//! `moby diff`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::image::LoadedImage;
use super::inputs::Inputs;
use super::terminal::TerminalReporter;
use super::{Environment, check, host_arch, inspect, lock};
use crate::arch::Arch;
use crate::assemble;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diff::{self, Change, Difference, FileChange, Property, Snapshot};
use crate::inspect::Limits;
use crate::lock::Lock;
use crate::reporter::Reporter;
use crate::request::{Request, Reuse, Sbom, Target};
use crate::resolve;
use crate::store;

/// Maximum number of changed files that are printed without `--all`.
const MAX_FILES: usize = 40;
/// Maximum number of changed items of a list that are printed.
const MAX_ITEMS: usize = 8;

/// Arguments of `moby diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Old system: an output of `moby build`, a YAML file (.yml or .yaml), or an image
    old: String,
    /// New system
    new: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print every changed file, and decompress without limit
    #[arg(long)]
    all: bool,
    /// Architecture of images and YAML files [default: the host's]
    #[arg(long, default_value = host_arch(), hide_default_value = true)]
    arch: Arch,
    /// Read images from this OCI layout directory, OCI archive or `docker save` tar, before the
    /// cache; repeatable
    #[arg(long, value_name = "PATH")]
    layout: Vec<PathBuf>,
}

impl Diff {
    /// Compares both systems. Every error is a usage error, as status 1 is for differences.
    pub fn run(self, environment: &Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        self.compare(environment, reporter).map_err(|failure| match failure {
            Failure::Work(errors) => Failure::Usage(errors),
            other => other,
        })
    }

    fn compare(self, environment: &Environment, reporter: &TerminalReporter) -> Result<(), Failure> {
        let old = self.snapshot(&self.old, environment, reporter)?;
        let new = self.snapshot(&self.new, environment, reporter)?;
        if !old.has_common_part(&new) {
            let message = format!(
                "cannot compare {} and {}: they have no part in common",
                self.old, self.new
            );
            let help = "compare files of one kind: systems, kernels, or kernel arguments";
            return Err(Diagnostic::error(message).help(help).into());
        }
        let are_outputs = !old.formats.is_empty() && !new.formats.is_empty();
        if are_outputs && old.formats != new.formats {
            reporter.notice(&Diagnostic::note(
                "the outputs have different formats: only root filesystems, kernels and kernel arguments are compared",
            ));
        }
        let difference = diff::compare(old, new).map_err(|error| {
            Diagnostic::error(format!("cannot compare {} and {}: {error}", self.old, self.new)).caused_by(error)
        })?;
        if self.json {
            let json =
                serde_json::to_string_pretty(&difference).map_err(|error| Diagnostic::error(error.to_string()))?;
            super::print(&format!("{json}\n"))?;
        } else {
            super::print(&text(&difference, self.all))?;
        }
        if difference.is_empty() {
            Ok(())
        } else {
            Err(Failure::Different)
        }
    }

    /// Reads one side.
    fn snapshot(
        &self,
        name: &str,
        environment: &Environment,
        reporter: &TerminalReporter,
    ) -> Result<Snapshot, Failure> {
        let path = Path::new(name);
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yml" | "yaml")) {
            let request = self.request(path, environment, reporter)?;
            let resolved = resolve::resolve(&request, reporter)?;
            let system = assemble::assemble(&request, &resolved, reporter)?;
            resolved.store.verify_pending().map_err(Diagnostic::from)?;
            return Ok(Snapshot::of_system(&system));
        }
        if path.is_file() {
            return self.output(name, path, reporter);
        }
        let image = LoadedImage::read(name, self.arch, &self.layout, environment, reporter)?;
        Ok(Snapshot::of_tree(image.files))
    }

    /// Returns the request for the system of a YAML file, without outputs. Its lock is used.
    fn request(&self, file: &Path, environment: &Environment, reporter: &TerminalReporter) -> Result<Request, Failure> {
        let (files, inputs) = ([file.to_owned()], Inputs::default());
        let config = check::load(&files)?;
        let lock = lock::of_build(&files, &config, false, &inputs, reporter)?;
        Ok(Request {
            config,
            arch: self.arch,
            formats: Vec::new(),
            target: Target::Stdout,
            name: "moby".into(),
            image_sources: store::Options {
                pins: lock.as_ref().map(Lock::pins).unwrap_or_default(),
                ..environment.image_sources(&self.layout)
            },
            lock,
            policy: None,
            sources: None,
            #[cfg(feature = "registry")]
            registry: None,
            debs: None,
            compression: None,
            disk_compression: None,
            root: None,
            verity: false,
            size: None,
            decompress_kernel: false,
            sbom: Some(Sbom {
                path: "sbom.spdx.json".into(),
                time: environment.time,
            }),
            documents: Vec::new(),
            #[cfg(feature = "sign")]
            provenance_key: None,
            time: environment.time,
            reuse: Reuse::default(),
            cache_size: None,
            jobs: super::jobs(None),
        })
    }

    fn output(&self, name: &str, path: &Path, reporter: &TerminalReporter) -> Result<Snapshot, Failure> {
        let content = inspect::open(path)?;
        let limits = if self.all { Limits::Unbounded } else { Limits::Bounded };
        let found = crate::inspect::inspect(&content, limits);
        if !found.errors.is_empty() {
            let errors = found.errors.into_iter().take(inspect::MAX_ERRORS);
            let errors = errors.map(|error| Diagnostic::error(format!("cannot read {name}: {error}")).caused_by(error));
            return Err(Failure::Usage(Diagnostics(errors.collect())));
        }
        if found.lines.is_empty() {
            let unknown = Diagnostic::error(format!("cannot read {name}: unknown format"));
            return Err(Failure::Usage(unknown.help("`moby formats` lists the formats").into()));
        }
        if !found.skipped.is_empty() {
            let warning = Diagnostic::warning(format!(
                "{name} is compressed beyond the limit: parts of it are not compared"
            ));
            reporter.notice(&warning.help("--all lifts the limit"));
        }
        Ok(Snapshot::of_output(found, content))
    }
}

/// Returns a difference as text.
fn text(difference: &Difference, all: bool) -> String {
    let mut lines = Vec::new();
    for package in &difference.packages {
        let change = values(&package.versions);
        lines.push(format!("package {} ({}): {change}", package.name, package.kind));
    }
    for container in &difference.containers {
        lines.push(format!("container {}, {}:", container.container, container.file));
        for (pointer, change) in &container.changes {
            lines.push(format!("  {pointer}: {}", list_changes(change)));
        }
    }
    if let Some(kernel) = &difference.kernel {
        lines.push(format!("kernel: {}", values(kernel)));
    }
    for (sign, arguments) in [("-", &difference.arguments.removed), ("+", &difference.arguments.added)] {
        lines.extend(
            arguments
                .iter()
                .map(|argument| format!("kernel argument {sign} {argument}")),
        );
    }
    if difference.arguments.reordered {
        lines.push("kernel arguments: in another order".into());
    }
    for (partition, change) in &difference.partitions {
        lines.push(format!("{partition}: {}", values(change)));
    }
    lines.extend(difference.boot.iter().map(|change| file("boot file ", change)));
    let shown = if all { usize::MAX } else { MAX_FILES };
    lines.extend(difference.files.iter().take(shown).map(|change| file("/", change)));
    if let Some(more) = difference.files.len().checked_sub(shown).filter(|more| *more > 0) {
        lines.push(format!("... {more} more changed files, shown by --all"));
    }
    if let Some(byte) = difference.first_byte {
        lines.push(format!(
            "equal contents in different bytes, the first at offset {byte}: compression, identifiers or layout differ"
        ));
    }
    lines
        .iter()
        .map(|line| format!("{}\n", inspect::printable(line)))
        .collect()
}

/// Returns a changed file as text.
fn file(prefix: &str, change: &FileChange) -> String {
    let path = format!("{prefix}{}", change.path);
    if let Some(Change { old, new }) = change.changes.get(&Property::Type) {
        match (old, new) {
            (None, Some(kind)) => return format!("+ {path} ({kind})"),
            (Some(kind), None) => return format!("- {path} ({kind})"),
            _ => {}
        }
    }
    let changes = change.changes.iter();
    let changes: Vec<String> = changes
        .map(|(property, change)| format!("{} {}", property.name(), values(change)))
        .collect();
    format!("~ {path}: {}", changes.join("; "))
}

/// Returns the changed items of a list of texts as text, or else old and new value.
fn list_changes(change: &Change) -> String {
    let list = |value: &Option<String>| -> Option<Vec<String>> {
        let value = value.as_deref().unwrap_or("[]");
        serde_json::from_str(value).ok()
    };
    let (Some(old), Some(new)) = (list(&change.old), list(&change.new)) else {
        return values(change);
    };
    let only = |sign: &str, one: &[String], other: &[String]| -> Vec<String> {
        let only = one.iter().filter(|item| !other.contains(item));
        only.map(|item| format!("{sign} {item}")).collect()
    };
    let mut changed = only("-", &old, &new);
    changed.extend(only("+", &new, &old));
    // In another order.
    if changed.is_empty() {
        return values(change);
    }
    let more = changed.len().saturating_sub(MAX_ITEMS);
    changed.truncate(MAX_ITEMS);
    if more > 0 {
        changed.push(format!("and {more} more"));
    }
    changed.join(", ")
}

/// Returns old and new value as text.
fn values(change: &Change) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    format!("{} -> {}", text(&change.old), text(&change.new))
}
