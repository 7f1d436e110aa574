//! Progress and notices of a running operation.

use crate::diagnostic::{Diagnostic, Severity};

/// Progress in reading layers.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Bytes to read in all.
    Total(u64),
    /// A layer of this image is started.
    Layer(&'a str),
    /// Bytes read since the last report.
    Read(u64),
}

/// Receives notices and progress. Several threads may report at once.
pub trait Reporter: Sync {
    /// Reports a fact that needs no action.
    fn info(&self, text: &str);

    /// Reports a condition that the user may want to change.
    fn warn(&self, text: &str);

    /// Reports the start of a step that takes time.
    fn step(&self, text: &str);

    /// Reports progress in reading layers.
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
