//! Gzip files that contents were decompressed from, so that an initrd can have parts of them.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use deflate::Recorded;
use extents::{Blob, Extents, Slice};

/// Length of the fixed part of a gzip header, in bytes (RFC 1952, section 2.3).
const HEADER_LEN: usize = 10;
/// Extra flags of a file that was compressed by the fastest method, as `gzip -1` does it.
const FASTEST: u8 = 4;

/// Gzip file that a blob was decompressed from. See [`Blob::origin`].
pub struct GzipOrigin {
    file: Slice,
    digest: String,
    /// Record of the file; `None` if it is corrupt.
    recorded: OnceLock<Option<Recorded>>,
}

impl GzipOrigin {
    /// Creates the origin for a file with this digest. None if it is not a gzip file, or says that it was
    /// compressed by the fastest method: compressed anew, it becomes a tenth smaller.
    pub fn new(file: &Slice, digest: &str) -> Option<Arc<GzipOrigin>> {
        let mut header = [0; HEADER_LEN];
        file.read_exact_at(&mut header, 0).ok()?;
        let [0x1f, 0x8b, _, _, _, _, _, _, flags, _] = header else {
            return None;
        };
        (flags != FASTEST).then(|| {
            Arc::new(GzipOrigin {
                file: file.clone(),
                digest: digest.to_owned(),
                recorded: OnceLock::new(),
            })
        })
    }

    /// Returns the origin of a blob.
    pub fn of(blob: &dyn Blob) -> Option<&GzipOrigin> {
        blob.origin()?.downcast_ref()
    }

    /// Returns the digest of the file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Sets the record, if the file was read already.
    pub fn set_recorded(&self, recorded: Recorded) {
        self.recorded.set(Some(recorded)).ok();
    }

    /// Returns whether the file was read.
    pub fn is_recorded(&self) -> bool {
        self.recorded.get().is_some()
    }

    /// Returns the record of the file, which is read now if it was not before. None if the file is corrupt.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn recorded(&self) -> io::Result<Option<&Recorded>> {
        if self.recorded.get().is_none() {
            let recorded = match Recorded::scan(Extents::from_slice(self.file.clone())) {
                Ok(recorded) => Some(recorded),
                Err(deflate::Error::Io(error)) => return Err(error),
                Err(_) => None,
            };
            self.recorded.set(recorded).ok();
        }
        Ok(self.recorded.get().and_then(Option::as_ref))
    }
}

impl fmt::Debug for GzipOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GzipOrigin").field(&self.digest).finish()
    }
}
