//! Images that are installed with the program.

use std::path::PathBuf;

/// Repositories of moby's own packages.
const REPOSITORIES: &str = "docker.io/moby/";

/// Finds the OCI layout that is installed with the program: `share/moby/images` beside its `bin`.
pub fn layout() -> Option<PathBuf> {
    // Package managers link to the program.
    let program = std::env::current_exe().ok()?;
    let program = if cfg!(unix) {
        program.canonicalize().ok()?
    } else {
        program
    };
    let layout = program.parent()?.parent()?.join("share/moby/images");
    layout.join("index.json").is_file().then_some(layout)
}

/// Returns the remedy for a missing image of moby's own packages.
pub fn help(name: &str) -> Option<String> {
    name.starts_with(REPOSITORIES).then(|| {
        let version = env!("CARGO_PKG_VERSION");
        let (file, releases) = (format!("moby-{version}-images.tar"), concat!(env!("CARGO_PKG_REPOSITORY"), "/releases"));
        format!("if it is one of moby's packages, download {file} from {releases}/tag/v{version}, then run `moby cache import {file}`")
    })
}
