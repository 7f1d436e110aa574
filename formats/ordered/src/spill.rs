//! Temporary files for results that may not fit the memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use extents::{Extents, FileBlob};

/// Length of the write buffer in bytes.
const BUFFER_LEN: usize = 1 << 20;

/// A temporary file without a name, created with the first bytes. It lives as long as the extents
/// of it.
#[derive(Debug)]
pub struct Spill {
    dir: PathBuf,
    out: Option<BufWriter<File>>,
    len: u64,
}

impl Spill {
    /// Prepares a file in the directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Spill {
            dir: dir.into(),
            out: None,
            len: 0,
        }
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let out = match &mut self.out {
            Some(out) => out,
            none => {
                let file = tempfile::tempfile_in(&self.dir)?;
                none.insert(BufWriter::with_capacity(BUFFER_LEN, file))
            }
        };
        out.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Flushes the file and returns its bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> io::Result<Extents> {
        let Some(out) = self.out else {
            return Ok(Extents::new());
        };
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let blob = FileBlob::new(file)?;
        Ok(Extents::from_blob(Arc::new(blob)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_bytes_are_read_back() {
        let mut spill = Spill::new(std::env::temp_dir());
        let mut all = Vec::new();
        for number in 0..40_000u32 {
            let bytes = number.to_le_bytes().repeat(number as usize % 20);
            spill.push(&bytes).unwrap();
            all.extend(bytes);
        }
        assert_eq!(spill.len(), all.len() as u64);
        assert!(spill.finish().unwrap().to_vec().unwrap() == all);
        assert!(Spill::new("/nonexistent").finish().unwrap().is_empty());
        assert!(Spill::new("/nonexistent").push(b"x").is_err());
    }
}
