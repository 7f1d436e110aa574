//! The locks of a cache folder, in `moby` beside `blobs`.

use std::fs::File;
use std::io;
use std::path::Path;

/// Held by the one that writes blobs and names.
pub const WRITER: &str = "moby/lock";
/// Held by all that decompress layers, who need not wait for each other nor for a writer, and for a
/// moment by one that removes what they left.
pub const LAYERS: &str = "moby/lock.layers";

/// The file of a lock, not locked yet. It is let go when it is closed, by a kill too.
pub fn file(cache: &Path, lock: &str) -> io::Result<File> {
    let path = cache.join(lock);
    std::fs::create_dir_all(path.parent().unwrap_or(cache))?;
    // Windows locks no file that is open for appending alone.
    File::options().create(true).read(true).append(true).open(&path)
}

/// As long as the file is open, cleaning removes no temporary files of layers.
pub fn decompressing(cache: &Path) -> io::Result<File> {
    let file = file(cache, LAYERS)?;
    file.lock_shared()?;
    Ok(file)
}

/// As long as the file is open, nobody decompresses layers; nothing when somebody does.
pub fn nobody_decompresses(cache: &Path) -> Option<File> {
    let file = file(cache, LAYERS).ok()?;
    file.try_lock().ok().map(|()| file)
}
