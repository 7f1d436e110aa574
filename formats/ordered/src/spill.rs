//! What need not fit the memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use extents::{Extents, FileBlob, Slice};

/// How much is written at once, in bytes.
const BUFFER: usize = 1 << 20;

/// A file without a name, made when the first bytes come. It lives as long as what is cut from it.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    out: Option<BufWriter<File>>,
    len: u64,
}

impl Spill {
    /// One that will be in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Spill {
            folder: folder.into(),
            out: None,
            len: 0,
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// What making or writing the file fails with.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let out = match &mut self.out {
            Some(out) => out,
            none => {
                let file = tempfile::tempfile_in(&self.folder)?;
                none.insert(BufWriter::with_capacity(BUFFER, file))
            }
        };
        out.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// All bytes, to cut slices from.
    ///
    /// # Errors
    /// What writing the file fails with.
    pub fn finish(self) -> io::Result<Extents> {
        let Some(out) = self.out else {
            return Ok(Extents::new());
        };
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let blob = FileBlob::new(file)?;
        Ok(Extents::from_slice(Slice::whole(Arc::new(blob))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
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
