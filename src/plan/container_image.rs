//! The root filesystem as a container image.

use extents::Extents;
use serde_json::json;
use tree::{Time, Tree};

use super::{Error, Options};
use crate::codec::compress;
use crate::oci::docker_archive as archive;
use crate::oci::graph::{ImageGraph, digest_of};
use crate::reporter::{Progress, Reporter};

/// Paths of an init, in order of preference: LinuxKit's, then the usual ones.
const INITS: [&str; 3] = ["/bin/rc.init", "/sbin/init", "/init"];

/// Image in an archive.
#[derive(Clone, Debug)]
pub struct NamedImage {
    /// Name with its tag.
    pub name: String,
    /// Digest of its manifest.
    pub digest: String,
}

/// Plans an archive with an OCI layout (OCI Image Layout Specification), and returns the image in it, too.
///
/// # Errors
/// A tree that a tar cannot store, and reads and writes that fail.
pub fn oci(root: &Tree, options: &Options, reporter: &dyn Reporter) -> Result<(Extents, NamedImage), Error> {
    let tar = pax::plan(root)?;
    let compression = options.compression.unwrap_or_default();
    let dir = options.temp_dir.clone();
    reporter.progress(Progress::Begin {
        operation: "compressing the layer",
        total: tar.len(),
    });
    let progress = |bytes| reporter.progress(Progress::Advance(bytes));
    let stored = compress::compress(&tar, compression, options.jobs, &dir, &progress);
    let stored = stored.map_err(|source| Error::Write { path: dir, source })?;
    let graph = ImageGraph::from_layer(&tar, stored, &config(root), options.arch)?;
    let name = format!("{}:latest", options.name_within().to_lowercase());
    let layout = graph.layout(&name, Time::from_seconds(options.time));
    let digest = graph.digest().to_owned();
    Ok((pax::plan(&layout)?, NamedImage { name, digest }))
}

/// Plans an archive for `docker load`.
///
/// # Errors
/// A tree that a tar cannot store, and reads that fail.
pub fn docker_archive(root: &Tree, options: &Options) -> Result<Extents, Error> {
    let tar = pax::plan(root)?;
    let digest = digest_of(&tar)?;
    let config = json!({
        "architecture": options.arch.name(), "os": "linux", "config": config(root),
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    });
    let config = Extents::from_bytes(config.to_string().into_bytes());
    let fixed = Time::from_seconds(options.time);
    let files = archive::tree(
        &format!("{}:latest", options.name_within().to_lowercase()),
        config,
        vec![(digest, tar)],
        fixed,
    );
    Ok(pax::plan(&files)?)
}

/// Returns the configuration of the image, with the init as its entry point.
fn config(root: &Tree) -> serde_json::Value {
    let there = |path: &&&str| root.lookup(path.trim_start_matches('/').as_bytes()).is_some();
    let init = INITS.iter().find(there).copied().unwrap_or("/init");
    json!({"Entrypoint": [init]})
}
