//! Diagnostics about failed operations.

use std::error::Error;
use std::fmt::Display;

use crate::diagnostic::Diagnostic;

/// Returns a conversion of an error of an operation: `cannot <operation>: <error>`.
pub fn cannot<E: Error + Send + Sync + 'static>(operation: impl Display) -> impl FnOnce(E) -> Diagnostic {
    move |error| Diagnostic::error(format!("cannot {operation}: {error}")).caused_by(error)
}
