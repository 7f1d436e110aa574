//! Errors of a configuration that are known without images.

use oci_spec::image::ImageConfiguration;
use tree::{Kind, Meta, Tree};

use super::spec::{self, Ids};
use super::{containers, files, volumes};
use crate::config::{Config, ContainerConfig, File};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Checks containers, volumes and files, without images.
///
/// # Errors
/// Every mistake of the containers, and the first of every file and volume, each with its line.
pub fn check(config: &Config) -> Result<(), Diagnostics> {
    let ids = containers::ids(config);
    let mut wrong = Vec::new();
    let mut report = |field: &str, error: Diagnostic| wrong.push(error.below(field));
    for (section, containers) in config.sections() {
        for (at, container) in containers.iter().enumerate() {
            let (label, image) = (ContainerConfig::default(), ImageConfiguration::default());
            let composed = spec::compose(&container.config, &label, &image, &ids).map(drop);
            let bound = volumes::bound(config, &container.config).map(drop);
            for error in composed.err().into_iter().flatten().chain(bound.err()) {
                report(&format!("{section}[{at}]"), error);
            }
        }
    }
    for (at, volume) in config.volumes.iter().enumerate() {
        if let Err(error) = volumes::platforms(volume) {
            report(&format!("volumes[{at}]"), error);
        }
    }
    for (field, one) in config.all_files() {
        if let Err(error) = file(one, &ids) {
            report(&field, error);
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(config.locate_all(wrong))
    }
}

fn file(file: &File, ids: &Ids) -> Result<(), Diagnostic> {
    let path = &file.path;
    if files::normal(path).is_empty() {
        return Err(Diagnostic::field(
            "path",
            "`path` is missing or names the root directory",
        ));
    }
    let kind = match (file.directory, file.symlink.as_str()) {
        (true, _) => Kind::directory(),
        (false, "") => Kind::Fifo,
        (false, target) => Kind::Symlink(target.into()),
    };
    let inserted = Tree::default().insert(path.as_bytes(), Meta::default(), kind, &Meta::default());
    inserted.map_err(|error| Diagnostic::field("path", error.to_string()))?;
    spec::id(file.uid.as_ref(), "uid", ids)?;
    spec::id(file.gid.as_ref(), "gid", ids)?;

    let sources = !file.source.is_empty() || !file.metadata.is_empty();
    if file.directory {
        if file.contents.is_some() || sources {
            let message = format!("{path} is a directory and cannot have contents");
            return Err(Diagnostic::field("directory", message).help("remove `directory: true`, or the contents"));
        }
        return Ok(());
    }
    if !file.symlink.is_empty() {
        if sources {
            let message = format!("{path} is a symlink and cannot have a source");
            return Err(Diagnostic::field("symlink", message).help("remove `symlink:`, or the source"));
        }
        return Ok(());
    }
    let given = [
        file.contents.is_some(),
        !file.source.is_empty(),
        !file.metadata.is_empty(),
    ];
    match given.into_iter().filter(|given| *given).count() {
        0 => {
            let message = format!("{path} has no contents");
            let help = "add contents, a source, a symlink, metadata, or directory: true";
            Err(Diagnostic::field("path", message).help(help))
        }
        1 => Ok(()),
        _ => {
            let message = format!("{path} has more than one of contents, source and metadata");
            Err(Diagnostic::field("path", message).help("keep one of `contents:`, `source:` and `metadata:`"))
        }
    }
}
