//! Progress and notices of a running operation.

use crate::diagnostic::{Diagnostic, Severity};

/// Progress of an operation whose length is known.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Begins an operation, such as "reading layers".
    Begin {
        /// Name of the operation.
        operation: &'a str,
        /// Length in bytes.
        total: u64,
    },
    /// Begins reading a layer of an image.
    Layer(&'a str),
    /// Advances by a number of bytes.
    Advance(u64),
    /// Blob of the operation that arrives, beside others.
    Blob {
        /// Digest.
        digest: &'a str,
        /// Length in bytes.
        total: u64,
        /// Number of bytes that have arrived, now and before.
        arrived: u64,
    },
    /// Adds to a counter.
    Count(Counter, u64),
}

/// Work of a build that is counted: in bytes, and pieces by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Cached layers and their blobs that were read to verify them.
    Verified,
    /// Content of layers that was decompressed.
    Inflated,
    /// Content of initrds that was copied as bits of gzip layers.
    Copied,
    /// Content of initrds that was encoded again from the tokens of gzip layers.
    Encoded,
    /// Content of initrds that was compressed.
    Compressed,
    /// Pieces of initrds that were made.
    PiecesMade,
    /// Pieces of initrds that the cache had.
    PiecesReused,
}

impl Counter {
    /// All counters.
    pub const ALL: [Counter; 7] = [
        Counter::Verified,
        Counter::Inflated,
        Counter::Copied,
        Counter::Encoded,
        Counter::Compressed,
        Counter::PiecesMade,
        Counter::PiecesReused,
    ];

    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Counter::Verified => "verified",
            Counter::Inflated => "inflated",
            Counter::Copied => "copied",
            Counter::Encoded => "encoded",
            Counter::Compressed => "compressed",
            Counter::PiecesMade => "piecesMade",
            Counter::PiecesReused => "piecesReused",
        }
    }
}

/// Receives notices and progress. Several threads may report at once.
pub trait Reporter: Sync {
    /// Reports a fact that needs no action.
    fn info(&self, text: &str);

    /// Reports a condition that the user may want to change.
    fn warn(&self, text: &str);

    /// Reports the start of a step that takes time.
    fn step(&self, text: &str);

    /// Reports progress.
    fn progress(&self, progress: Progress<'_>);

    /// Reports a note or a warning, with its remedies.
    fn notice(&self, notice: &Diagnostic) {
        match notice.severity {
            Severity::Note => self.info(&format!("note: {notice}")),
            Severity::Warning | Severity::Error => self.warn(&notice.to_string()),
        }
    }
}

/// Discards every report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn info(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn step(&self, _: &str) {}
    fn progress(&self, _: Progress<'_>) {}
}
