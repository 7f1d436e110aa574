//! `moby build --explain`.

use tree::{Kind, Meta, show};

use super::Failure;
use crate::assemble::{self, Contribution};
use crate::config::Config;
use crate::diagnostic::{Diagnostic, size};
use crate::reporter::Reporter;
use crate::request::Request;
use crate::resolve::{self, Resolved};

/// Prints which section of the YAML puts a file at a path of the root filesystem, and what it covers.
pub fn run(request: &Request, path: &str, reporter: &dyn Reporter) -> Result<(), Failure> {
    let resolved = resolve::resolve(request, reporter)?;
    let wanted = path.trim_matches('/');
    let contributions = assemble::explain(request, &resolved, wanted.as_bytes(), reporter)?;
    let Some((last, covered)) = contributions.split_last() else {
        let missing = Diagnostic::error(format!("nothing puts /{wanted} into the root filesystem"));
        let help = "`moby inspect --ls` lists the files of an output; the files of containers are below containers/";
        return Err(Failure::Work(missing.help(help).into()));
    };
    let mut text = format!(
        "/{wanted}: {}\n  from {}\n",
        describe(&last.meta, &last.kind),
        place(last, &resolved)
    );
    for contribution in covered.iter().rev() {
        let verb = match (&last.kind, &contribution.kind) {
            (Kind::Directory(_), Kind::Directory(_)) => "merged with",
            _ => "covers",
        };
        text.push_str(&format!(
            "  {verb} {}: {}\n",
            place(contribution, &resolved),
            describe(&contribution.meta, &contribution.kind)
        ));
    }
    super::print(&text)
}

/// Returns section, line, image and layer of a contribution.
fn place(contribution: &Contribution, resolved: &Resolved) -> String {
    let Some(source) = &contribution.source else {
        return "moby".into();
    };
    let mut text = source.field.clone();
    if let Some(line) = line(&resolved.config, &source.field) {
        text.push_str(&format!(" ({line})"));
    }
    let Some(name) = &source.image else { return text };
    text.push_str(&format!(", {name}"));
    let Some(image) = resolved.images.get(name) else {
        return text;
    };
    if let Some(digest) = image.digest() {
        text.push_str(&format!("@{digest}"));
    }
    match source.layer.and_then(|at| Some((at, image.layers.get(at)?))) {
        Some((at, layer)) => text.push_str(&format!(
            ", layer {} of {} {}",
            at + 1,
            image.layers.len(),
            layer.digest()
        )),
        None => text.push_str(", added by moby"),
    }
    text
}

/// Returns file and line of a section of the YAML.
fn line(config: &Config, field: &str) -> Option<String> {
    let located = config.error_at(field, "").0.pop()?;
    Some(format!("{}:{}", located.snippet?.file, located.span?.line))
}

/// Describes a node in one line.
fn describe(meta: &Meta, kind: &Kind) -> String {
    let (kind, detail) = match kind {
        Kind::Directory(_) => ("directory", String::new()),
        Kind::File(content) => ("file", format!(", {}", size(content.len()))),
        Kind::Symlink(target) => return format!("symbolic link to {}", show(target)),
        Kind::CharDevice(device) => ("character device", format!(" {}:{}", device.major, device.minor)),
        Kind::BlockDevice(device) => ("block device", format!(" {}:{}", device.major, device.minor)),
        Kind::Fifo => ("named pipe", String::new()),
        Kind::Socket => ("socket", String::new()),
    };
    format!(
        "{kind}{detail}, mode {:04o}, owner {}:{}",
        meta.mode, meta.uid, meta.gid
    )
}
