//! Last use of the images in a cache directory: the modification times of empty files in `moby/used`,
//! which are named by the digests of the images.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::oci::cached_file;

/// Path of the files in a cache directory.
const DIR: &str = "moby/used";

/// Records that an image is used now. A cache that cannot be written keeps the earlier time.
pub fn record(cache: &Path, digest: &str) {
    let Some(path) = path(cache, digest) else { return };
    let touch = || -> io::Result<()> {
        cached_file::make_way(&path)?;
        // Nothing is written, so that a file of another tool with this name would keep its content.
        let file = File::options().append(true).create(true).open(&path)?;
        file.set_modified(SystemTime::now())
    };
    if touch().is_err() && fs::create_dir_all(cache.join(DIR)).is_ok() {
        let _ = touch();
    }
}

/// Returns the last use of an image: a build, else its arrival in the cache.
pub fn last(cache: &Path, digest: &str) -> Option<SystemTime> {
    let blob = cache.join("blobs").join(digest.replacen(':', "/", 1));
    let paths = path(cache, digest).into_iter().chain([blob]);
    let times = paths.filter_map(|path| fs::metadata(path).ok()?.modified().ok());
    times.max()
}

/// Removes the records of images that are not in the cache any more. Files with other names stay.
pub fn clean(cache: &Path) {
    for file in fs::read_dir(cache.join(DIR)).into_iter().flatten().flatten() {
        let blob = cache.join("blobs/sha256").join(file.file_name());
        if cached_file::is_digest(&file.file_name()) && !blob.exists() {
            let _ = cached_file::remove(&file.path());
        }
    }
}

fn path(cache: &Path, digest: &str) -> Option<PathBuf> {
    let hex = digest.strip_prefix("sha256:")?;
    let is_safe = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_safe.then(|| cache.join(DIR).join(hex))
}
