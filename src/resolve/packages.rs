//! Packages that the YAML names by their directories.

use std::fmt::Display;
use std::path::Path;

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::pkg;

/// Replaces each `@pkg:` reference by the image name that `name` returns for the directory.
///
/// # Errors
/// Each failure of `name`, at the line with the reference.
pub fn replace<E: Display>(config: &Config, name: &dyn Fn(&Path) -> Result<String, E>) -> Result<Config, Diagnostics> {
    let (mut replaced, mut errors) = (config.clone(), Vec::new());
    for (field, dir) in config.packages() {
        match name(&dir) {
            Ok(name) => replaced.set_image(&field, &name),
            Err(error) => errors.push(Diagnostic {
                field,
                ..Diagnostic::from_text(&error.to_string())
            }),
        }
    }
    if errors.is_empty() {
        Ok(replaced)
    } else {
        Err(config.locate_all(errors))
    }
}

/// Replaces each `@pkg:` reference by the name that the package has, without building it.
///
/// # Errors
/// Directories without a recipe, and recipes that cannot be read.
pub fn tag(config: &Config) -> Result<Config, Diagnostics> {
    replace(config, &pkg::tag)
}
