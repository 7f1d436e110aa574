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
