//! JSON files in the cache directory, each with a digest of its value: `{"sha256": DIGEST, "value": VALUE}`.

use std::fs;
use std::io;
use std::path::Path;

use extents::Extents;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bounded;
use crate::oci::{cached_file, digest};

#[derive(Serialize, Deserialize)]
struct Checked {
    sha256: String,
    value: Value,
}

fn checksum(value: &Value) -> String {
    digest(Sha256::new_with_prefix(value.to_string()))
}

/// Writes a value to a file, whose directory is created.
///
/// # Errors
/// A value that JSON does not have, and a file that cannot be written.
pub fn save<T: Serialize>(value: &T, path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let value = serde_json::to_value(value)?;
    let sha256 = checksum(&value);
    cached_file::write(
        &Extents::from_bytes(serde_json::to_vec(&Checked { sha256, value })?),
        path,
    )
}

/// Reads a value from a file of at most `max` bytes. `None` if it is missing or corrupt.
pub fn load<T: DeserializeOwned>(path: &Path, max: u64) -> Option<T> {
    let checked: Checked = serde_json::from_slice(&bounded::regular(path, max).ok()?).ok()?;
    let is_intact = checksum(&checked.value) == checked.sha256;
    is_intact.then(|| serde_json::from_value(checked.value).ok())?
}
