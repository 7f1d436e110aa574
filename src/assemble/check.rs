//! What is wrong with a configuration whatever is in the images: what the YAML says of
//! containers, files and volumes is tried without any.

use oci_spec::image::ImageConfiguration;
use tree::{Kind, Meta, Tree};

use super::spec::{self, Ids};
use super::{containers, files, volumes};
use crate::config::{Config, File, ImageConfig};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Finds what no image can make right, before [`super::build`].
///
/// # Errors
/// The first mistake of every container, file and volume, each with its line.
pub fn check(config: &Config) -> Result<(), Diagnostics> {
    let ids = containers::ids(config);
    let mut wrong = Vec::new();
    let mut complain = |field: &str, error: Diagnostic| wrong.push(error.below(field));
    for (section, containers) in config.sections() {
        for (at, container) in containers.iter().enumerate() {
            let (label, image) = (ImageConfig::default(), ImageConfiguration::default());
            let composed = spec::compose(&container.config, &label, &image, &ids).map(drop);
            let bound = || volumes::bound(config, &container.config).map(drop);
            if let Err(error) = composed.and_then(|()| bound()) {
                complain(&format!("{section}[{at}]"), error);
            }
        }
    }
    for (at, volume) in config.volumes.iter().enumerate() {
        if let Err(error) = volumes::platforms(volume) {
            complain(&format!("volumes[{at}]"), error);
        }
    }
    for (at, one) in config.files.iter().enumerate() {
        if let Err(error) = file(one, &ids) {
            complain(&format!("files[{at}]"), error);
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(config.locate_all(wrong)),
    }
}

fn file(file: &File, ids: &Ids) -> Result<(), Diagnostic> {
    let path = &file.path;
    if files::normal(path).is_empty() {
        return Err(spec::problem("path", "a file needs a path"));
    }
    let kind = match (file.directory, file.symlink.as_str()) {
        (true, _) => Kind::directory(),
        (false, "") => Kind::Fifo,
        (false, target) => Kind::Symlink(target.into()),
    };
    let inserted = Tree::default().insert(path.as_bytes(), Meta::default(), kind, &Meta::default());
    inserted.map_err(|error| spec::problem("path", error.to_string()))?;
    spec::id(file.uid.as_ref(), "uid", ids)?;
    spec::id(file.gid.as_ref(), "gid", ids)?;

    let sources = !file.source.is_empty() || !file.metadata.is_empty();
    if file.directory {
        return match file.contents.is_some() || sources {
            true => Err(spec::problem(
                "directory",
                format!("{path} is a directory and cannot have contents"),
            )),
            false => Ok(()),
        };
    }
    if !file.symlink.is_empty() {
        return match sources {
            true => Err(spec::problem(
                "symlink",
                format!("{path} is a symlink and cannot have a source"),
            )),
            false => Ok(()),
        };
    }
    let given = [
        file.contents.is_some(),
        !file.source.is_empty(),
        !file.metadata.is_empty(),
    ];
    match given.into_iter().filter(|given| *given).count() {
        0 => {
            let help = "give it contents, a source, a symlink, metadata, or directory: true";
            let message = format!("contents of file ({path}) not specified\nhelp: {help}");
            Err(spec::problem("path", message))
        }
        1 => Ok(()),
        _ => {
            let message = format!("{path} has more than one of contents, source and metadata");
            Err(spec::problem("path", message))
        }
    }
}
