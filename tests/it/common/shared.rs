//! Builds that several tests of one run share.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A directory below `target/tmp`, where the next run finds and empties it: what a static variable
/// holds is never dropped.
pub struct Shared {
    path: PathBuf,
    /// Another run waits until this one ends.
    _lock: File,
}

impl Shared {
    /// Empties the directory of a name, and lets `make` fill it.
    pub fn new(name: &str, make: impl FnOnce(&Path)) -> Shared {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock = File::create(root.join(format!("{name}.lock"))).unwrap();
        lock.lock().unwrap();
        let path = root.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        make(&path);
        Shared { path, _lock: lock }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
