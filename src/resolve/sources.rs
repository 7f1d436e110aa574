//! Files of the host that the YAML names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use extents::Slice;

use crate::config::{Config, File};
use crate::diagnostic::Diagnostic;

/// Returns the path of a file's `source:`, where `~/` is the home directory.
pub fn path(file: &File) -> PathBuf {
    match file.source.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        None => PathBuf::from(&file.source),
    }
}

/// Sources that come from a bundle, by their paths in the YAML.
pub type Bundled = BTreeMap<String, Slice>;

/// Checks that a file's source exists; returns false if it is missing and `optional`.
///
/// # Errors
/// A source that is missing or is not a regular file.
pub fn check(file: &File, bundled: Option<&Bundled>) -> Result<bool, Diagnostic> {
    if let Some(bundled) = bundled {
        let is_known = bundled.contains_key(&file.source);
        if !is_known && !file.optional {
            let message = format!("cannot find {} in the bundle", file.source);
            return Err(Diagnostic::field("source", message).help("create the bundle again with `moby bundle create`"));
        }
        return Ok(is_known);
    }
    let path = path(file);
    match std::fs::metadata(&path) {
        Err(_) if file.optional => Ok(false),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            let diagnostic = Diagnostic::field("source", message);
            Err(if error.kind() == std::io::ErrorKind::NotFound {
                diagnostic.help(
                    "`optional: true` allows the file to be missing; a relative path starts at the current directory",
                )
            } else {
                diagnostic
            })
        }
        Ok(found) if !found.is_file() => {
            let message = format!("{} is not a regular file", path.display());
            Err(Diagnostic::field("source", message).help("name a file, or package the directory as an image"))
        }
        Ok(_) => Ok(true),
    }
}

/// Finds the sources that cannot be read.
pub fn check_all(config: &Config, bundled: Option<&Bundled>) -> Vec<Diagnostic> {
    let files = config.all_files().into_iter();
    let files = files.filter(|(_, file)| !file.source.is_empty() && !file.directory && file.symlink.is_empty());
    let errors = files.filter_map(|(field, file)| Some(check(file, bundled).err()?.below(&field)));
    errors.collect()
}
