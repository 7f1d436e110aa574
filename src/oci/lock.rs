//! Locks of a cache directory, in `moby` beside `blobs`.

use std::fs::File;
use std::io;
use std::path::Path;

/// Lock of the process that writes blobs and names.
pub const WRITER: &str = "moby/lock";
/// Lock of the processes that decompress layers: shared, and exclusive to remove temporary files of
/// layers.
pub const LAYERS: &str = "moby/lock.layers";

/// Opens the file of a lock without locking it. Closing the file, or a kill, releases the lock.
///
/// # Errors
/// A directory that cannot be created or written.
pub fn file(cache: &Path, lock: &str) -> io::Result<File> {
    let path = cache.join(lock);
    std::fs::create_dir_all(path.parent().unwrap_or(cache))?;
    // Windows cannot lock a file that is only open for appending.
    File::options().create(true).read(true).append(true).open(&path)
}

/// Takes the shared lock: while the file is open, `moby cache clean` keeps temporary files of layers.
///
/// # Errors
/// A directory that cannot be created or written.
pub fn decompressing(cache: &Path) -> io::Result<File> {
    let file = file(cache, LAYERS)?;
    file.lock_shared()?;
    Ok(file)
}

/// Takes the exclusive lock: while the file is open, no process decompresses layers. None if one does.
pub fn exclusive(cache: &Path) -> Option<File> {
    let file = file(cache, LAYERS).ok()?;
    file.try_lock().ok().map(|()| file)
}
