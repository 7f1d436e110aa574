//! The root filesystem as the image of a container, for those who run the same system as one.

use extents::Extents;
use serde_json::json;
use tree::{Time, Tree};

use super::{Error, Options};
use crate::codec::compress;
use crate::oci::docker_archive as archive;
use crate::oci::graph::{ImageGraph, digest_of};
use crate::time;

/// What starts a system, the first that it has: LinuxKit's name for it, then the usual ones.
const INITS: [&str; 3] = ["/bin/rc.init", "/sbin/init", "/init"];

/// An archive with an OCI layout (OCI Image Layout Specification).
///
/// # Errors
/// What a tar cannot hold, and what reading or writing fails with.
pub fn oci(root: &Tree, options: &Options) -> Result<Extents, Error> {
    let tar = pax::plan(root)?;
    let compression = options.compression.unwrap_or_default();
    let folder = options.spill();
    let stored = compress::compress(&tar, compression, options.jobs, &folder);
    let stored = stored.map_err(|source| Error::Write { path: folder, source })?;
    let graph = ImageGraph::from_layer(&tar, stored, &config(root), options.arch)?;
    let layout = graph.layout(
        &format!("{}:latest", options.name_within().to_lowercase()),
        Time::from_seconds(time::fixed()),
    );
    Ok(pax::plan(&layout)?)
}

/// An archive for `docker load`.
///
/// # Errors
/// What a tar cannot hold, and what reading fails with.
pub fn docker_archive(root: &Tree, options: &Options) -> Result<Extents, Error> {
    let tar = pax::plan(root)?;
    let digest = digest_of(&tar)?;
    let config = json!({
        "architecture": options.arch.name(), "os": "linux", "config": config(root),
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    });
    let config = Extents::from_bytes(config.to_string().into_bytes());
    let fixed = Time::from_seconds(time::fixed());
    let files = archive::tree(
        &format!("{}:latest", options.name_within().to_lowercase()),
        config,
        vec![(digest, tar)],
        fixed,
    );
    Ok(pax::plan(&files)?)
}

/// What runs in it.
fn config(root: &Tree) -> serde_json::Value {
    let there = |path: &&&str| root.lookup(path.trim_start_matches('/').as_bytes()).is_some();
    let init = INITS.iter().find(there).copied().unwrap_or("/init");
    json!({"Entrypoint": [init]})
}
