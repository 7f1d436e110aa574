//! Rules of the YAML that a schema cannot express.

use std::collections::BTreeMap;

use super::{Config, PACKAGE};
use crate::diagnostic::Diagnostic;
use crate::oci::reference;

impl Config {
    /// Returns every mistake, with its line.
    pub(super) fn check(&mut self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut names = BTreeMap::new();
        for (at, service) in self.services.iter().enumerate() {
            let span = self.span(&format!("services[{at}].name"));
            if let Some(source) = names.insert(&service.name, span.source) {
                let mut diagnostic = Diagnostic::at(span, format!("duplicate service name: {}", service.name));
                if source != span.source {
                    diagnostic = diagnostic
                        .help("moby merges all YAML files of a command into one machine; to build several machines, run moby once for each");
                }
                diagnostics.push(diagnostic.help("rename one of them"));
            }
        }
        for (section, containers) in self.sections() {
            for (at, container) in containers.iter().enumerate() {
                let name = &container.name;
                if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
                    let span = self.span(&format!("{section}[{at}].name"));
                    let message =
                        format!("{name:?} cannot be the name of a container, which is also the name of a directory");
                    diagnostics.push(Diagnostic::at(span, message).help("use a name without `/`"));
                }
            }
        }
        for (at, volume) in self.volumes.iter().enumerate() {
            let span_of = |at| self.span(&format!("volumes[{at}].name"));
            let span = span_of(at);
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            if volume.name.is_empty() || !volume.name.chars().all(fits) {
                let message = format!("invalid volume name: {:?}", volume.name);
                diagnostics.push(Diagnostic::at(span, message).help("use a to z, 0 to 9, - and _"));
            }
            // Several files may have the same volume.
            let mut before = self.volumes.iter().take(at).enumerate();
            if before.any(|(before, other)| {
                other.name == volume.name && (other != volume || span_of(before).source == span.source)
            }) {
                let message = format!("duplicate volume name: {}", volume.name);
                diagnostics.push(Diagnostic::at(span, message).help("rename one of them"));
            }
        }
        let volumes: Vec<&str> = self.volumes.iter().map(|volume| volume.name.as_str()).collect();
        let disk = self.disk.check(&volumes).into_iter();
        diagnostics.extend(disk.map(|error| {
            let span = self.span(&error.field);
            error.with_span(span)
        }));
        for (path, file) in self.all_files() {
            let span = |field: &str| self.span(&format!("{path}.{field}"));
            if !file.mode.is_empty() && u32::from_str_radix(&file.mode, 8).ok().is_none_or(|mode| mode > 0o7777) {
                let message = format!("invalid file mode {:?}: expected octal digits up to 7777", file.mode);
                diagnostics.push(Diagnostic::at(span("mode"), message).help("write it as \"0644\""));
            }
            if !["", "yaml", "json"].contains(&file.metadata.as_str()) {
                let message = format!("unknown metadata format: {}", file.metadata);
                diagnostics.push(Diagnostic::at(span("metadata"), message).help("use yaml or json"));
            }
        }
        let mut broken = Vec::new();
        for (path, image) in self.images_mut() {
            // Kernel and volume content are optional, and moby has boot loaders.
            let optional = ["kernel.", "boot.", "volumes["];
            let left_out = image.is_empty() && optional.iter().any(|prefix| path.starts_with(prefix));
            if !left_out
                && !image.starts_with(PACKAGE)
                && let Err(error) = reference::parse(image)
            {
                broken.push((path, error.to_string()));
            }
        }
        let broken = broken
            .into_iter()
            .map(|(path, error)| Diagnostic::at(self.span(&path), error));
        diagnostics.extend(broken.collect::<Vec<_>>());
        diagnostics
    }
}
