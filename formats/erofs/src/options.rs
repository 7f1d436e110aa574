//! What the caller decides.

use std::path::PathBuf;

use tree::Time;

use crate::{Compressor, Error, LONGEST_LABEL};

/// What a filesystem is to be like besides the files.
#[derive(Clone, Debug)]
pub struct Options {
    /// How contents are compressed.
    pub compressor: Compressor,
    /// How many threads compress.
    pub jobs: usize,
    /// When the filesystem was made. Files with this time have shorter inodes.
    pub time: Time,
    /// The identifier of the volume, its text form read as one number; otherwise derived from
    /// names, lengths, attributes and times.
    pub uuid: Option<u128>,
    /// The volume's name: at most 16 bytes; none when empty.
    pub label: String,
    /// The folder for the file without a name in which compressed blocks are kept.
    pub folder: PathBuf,
}

impl Options {
    /// Not compressed, one thread, made at the start of the epoch.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Options {
            compressor: Compressor::None,
            jobs: 1,
            time: Time::default(),
            uuid: None,
            label: String::new(),
            folder: folder.into(),
        }
    }

    /// Refuses a label that there cannot be.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let what = if self.label.len() > LONGEST_LABEL {
            "it is too long"
        } else if self.label.contains('\0') {
            "it has a zero byte"
        } else {
            return Ok(());
        };
        Err(Error::Label {
            label: self.label.clone(),
            what,
        })
    }
}
