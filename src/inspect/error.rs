//! Reasons why content cannot be inspected.

use std::io;

/// A reason why content cannot be inspected. Its text names the format, not the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading fails.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// A reader rejects the content.
    #[error("cannot read the {format}: {source}")]
    Reader {
        /// Format that the content claims to have.
        format: &'static str,
        /// Error of the reader.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A field has a value that the format does not allow.
    #[error("the {format} is corrupt: {found}")]
    Corrupt {
        /// Format that the content claims to have.
        format: &'static str,
        /// Field and value.
        found: String,
    },
    /// The content ends too early.
    #[error("the {format} is truncated: {found}")]
    Truncated {
        /// Format that the content claims to have.
        format: &'static str,
        /// Missing part.
        found: String,
    },
    /// The content uses a feature of its format that moby does not read.
    #[error("the {format} has {feature}, which is not supported")]
    Unsupported {
        /// Format of the content.
        format: &'static str,
        /// Feature.
        feature: String,
    },
    /// The content has more items than any real file.
    #[error("the {format} has more than {limit} {items}")]
    TooMany {
        /// Format of the content.
        format: &'static str,
        /// Kind of item, in the plural.
        items: &'static str,
        /// Number of items that are read.
        limit: u64,
    },
    /// Decompressing the content exceeds the limit of the inspection.
    #[error("decompressing it exceeds the limit of {limit} bytes for one inspection")]
    Budget {
        /// Bytes that one inspection decompresses.
        limit: u64,
    },
    /// A reader panicked.
    #[error("moby's reader crashed, perhaps on corrupt content: {reason}")]
    Panicked {
        /// Message of the panic.
        reason: String,
    },
}

impl Error {
    /// Wraps the error of a reader of `format`.
    pub(super) fn reader(format: &'static str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Reader {
            format,
            source: error.into(),
        }
    }
}

/// An error and the path of the content that has it.
#[derive(Debug, thiserror::Error)]
pub struct EntryError {
    /// Path as in [`Report::entries`](super::Report::entries); empty for the file itself.
    pub path: String,
    /// Reason.
    pub source: Error,
}

impl std::fmt::Display for EntryError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(out, "{}: ", tree::show(self.path.as_bytes()))?;
        }
        self.source.fmt(out)
    }
}
