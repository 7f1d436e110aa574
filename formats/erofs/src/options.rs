//! Options of the filesystem.

use std::path::PathBuf;

use tree::Time;
use uuid::Uuid;

use crate::MAX_LABEL_LEN;
use crate::compressor::Compressor;
use crate::error::Error;

/// Options of [`plan`](crate::plan). Start with the default and assign fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Compressor of file contents.
    pub compressor: Compressor,
    /// Number of threads that compress, at least 1.
    pub jobs: usize,
    /// Time of creation. Inodes of files with this time are shorter.
    pub time: Time,
    /// UUID of the volume; by default derived from names, lengths, attributes and times.
    pub uuid: Option<Uuid>,
    /// Label of the volume: at most 16 bytes; `None` if empty.
    pub label: String,
    /// Directory of the unnamed file that holds compressed blocks.
    pub temp_dir: PathBuf,
}

impl Default for Options {
    /// Options without compression, with one thread and the temporary directory of the system.
    fn default() -> Self {
        Options {
            compressor: Compressor::None,
            jobs: 1,
            time: Time::default(),
            uuid: None,
            label: String::new(),
            temp_dir: std::env::temp_dir(),
        }
    }
}

impl Options {
    /// Refuses a label that EROFS cannot store.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fault = if self.label.len() > MAX_LABEL_LEN {
            "it is too long"
        } else if self.label.contains('\0') {
            "it has a zero byte"
        } else {
            return Ok(());
        };
        Err(Error::Label {
            label: self.label.clone(),
            fault,
        })
    }
}
