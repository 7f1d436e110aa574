//! The text of a lock file: JSON with sorted keys and items, one item a line, so that a change of one
//! image is a change of few lines.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::{Lock, VERSION};
use crate::bounded;
use crate::diagnostic::Diagnostic;
use crate::json_lines::{self, line, list};

/// Maximum length of a lock file, in bytes.
const MAX_LEN: u64 = 16 << 20;

/// Reads a lock file; `None` if there is no such file.
///
/// # Errors
/// A file that cannot be read or is not a lock.
pub fn read(path: &Path) -> Result<Option<Lock>, Diagnostic> {
    match bounded::regular(path, MAX_LEN) {
        Ok(bytes) => parse(&bytes, &path.display().to_string()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Diagnostic::error(format!("cannot read {}: {error}", path.display())).caused_by(error)),
    }
}

/// Remedy for a file that is not a lock.
const RESTORE: &str = "restore it from version control, or remove it and run `moby lock FILE.yml`";

/// Parses the text of a lock file; `name` is for messages.
///
/// # Errors
/// A text that is not a lock, or of another version.
pub fn parse(bytes: &[u8], name: &str) -> Result<Lock, Diagnostic> {
    let invalid = |error: serde_json::Error| {
        let message = format!("{name} is not a lock file: {error}");
        Diagnostic::error(message).help(RESTORE).caused_by(error)
    };
    let value: Value = serde_json::from_slice(bytes).map_err(invalid)?;
    let version = value.get("version").and_then(Value::as_u64);
    if let Some(version) = version.filter(|version| *version != u64::from(VERSION)) {
        let message = format!("{name} has format version {version}, but this moby supports only version {VERSION}");
        return Err(
            Diagnostic::error(message).help("use the moby that wrote it, or remove it and run `moby lock FILE.yml`")
        );
    }
    let mut lock: Lock = serde_json::from_value(value).map_err(invalid)?;
    for digest in lock.images.iter().map(|image| &image.digest) {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("{name} is not a lock file: {digest:?} is not a SHA-256 digest");
            return Err(Diagnostic::error(message).help(RESTORE));
        }
    }
    lock.sort();
    Ok(lock)
}

impl Lock {
    /// Returns the text of the lock. The items must be sorted.
    pub fn text(&self) -> String {
        let mut fields = vec![
            ("boot", list(&self.boot)),
            ("config", line(&self.config)),
            ("debian", list(&self.debian)),
            ("images", list(&self.images)),
            ("packages", list(&self.packages)),
            ("platforms", list(&self.platforms)),
        ];
        if !self.signers.is_empty() {
            fields.push(("signers", list(&self.signers)));
        }
        fields.push(("version", line(&self.version)));
        json_lines::object(&fields)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::lock::{LockedImage, LockedLoader};

    #[test]
    fn a_text_is_read_as_it_was_written() {
        let lock = Lock {
            boot: vec![LockedLoader {
                field: "boot.bios".into(),
                reference: "a".into(),
            }],
            config: "sha256:1".into(),
            images: vec![LockedImage {
                name: "a".into(),
                digest: format!("sha256:{}", "1".repeat(64)),
                media_type: "m".into(),
                reference: "docker.io/library/a".into(),
                size: 3,
            }],
            version: VERSION,
            ..Lock::default()
        };
        let text = lock.text();
        assert_eq!(parse(text.as_bytes(), "a.lock").unwrap(), lock);
        assert!(text.contains("\n    {\"digest\":\"sha256:1111"), "{text}");
        for (from, to, message) in [
            ("\"version\": 1", "\"version\": 2", "version 2"),
            ("sha256:11", "sha256:x", "is not a SHA-256 digest"),
            ("\"field\"", "\"feld\"", "unknown field `feld`"),
            ("{\n", "", "a.lock is not a lock file"),
        ] {
            let error = parse(text.replacen(from, to, 1).as_bytes(), "a.lock").unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
