//! Images that commands read files of.

use std::path::PathBuf;

use tree::Tree;

use super::{Environment, Failure};
use crate::arch::Arch;
use crate::config::canonical;
use crate::diagnostic::Diagnostic;
use crate::reporter::Reporter;
use crate::store::{Image, Store};

/// Image with the files of its layers.
pub struct LoadedImage {
    pub store: Store,
    pub image: Image,
    pub files: Tree,
}

impl LoadedImage {
    /// Reads an image of the layouts or the cache.
    pub fn read(
        name: &str,
        arch: Arch,
        layouts: &[PathBuf],
        environment: &Environment,
        reporter: &dyn Reporter,
    ) -> Result<Self, Failure> {
        let store = Store::open(&environment.image_sources(layouts)).map_err(Diagnostic::from)?;
        let image = store.image(&canonical(name), arch).map_err(|error| {
            let mut error = Diagnostic::from(error);
            error
                .help
                .push(format!("to read a file, check its path: there is no file {name}"));
            error
        })?;
        let prepared = store.prepare(std::slice::from_ref(&image), super::jobs(None), &|progress| {
            reporter.progress(progress);
        });
        let files = prepared.and_then(|()| store.tree(&image)).map_err(Diagnostic::from)?;
        Ok(LoadedImage { store, image, files })
    }
}
