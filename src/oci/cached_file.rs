//! Files of a cache directory. moby touches only those with the names that it gives: a directory in the
//! cache may be a symbolic link to one with other files. What is not a regular file is replaced, never
//! written through.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use extents::{Extents, emit};

/// Returns whether a file can be a blob or a layer: the name is a SHA-256 digest in hexadecimal digits.
pub fn is_digest(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit)
}

/// Returns whether a file is one that a killed process did not finish.
pub fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(emit::TEMP_PREFIX.as_bytes())
}

/// Removes what is at a path: a file, a link, a pipe, or a directory with its content. Returns the length
/// of a regular file, 0 of others, and `None` if there is nothing.
///
/// # Errors
/// A path that cannot be removed.
pub fn remove(path: &Path) -> io::Result<Option<u64>> {
    let removed = path.symlink_metadata().and_then(|found| {
        if found.is_dir() {
            std::fs::remove_dir_all(path).map(|()| 0)
        } else {
            let len = if found.is_file() { found.len() } else { 0 };
            std::fs::remove_file(path).map(|()| len)
        }
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        removed => removed.map(Some),
    }
}

/// Removes what is at a path, unless it is a regular file.
///
/// # Errors
/// A path that cannot be removed.
pub fn make_way(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => remove(path).map(drop),
        _ => Ok(()),
    }
}

/// Writes a file in place of what is at the path.
///
/// # Errors
/// A path that cannot be written.
pub fn write(content: &Extents, path: &Path) -> io::Result<()> {
    make_way(path)?;
    emit::to_path(content, path)
}
