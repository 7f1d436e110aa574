//! Errors of tasks.

use std::error::Error as StdError;
use std::fmt;

/// An error of a task: `<what failed>: <what was found>`, and a remedy.
#[derive(Debug)]
pub struct Error {
    message: String,
    help: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Result of a task.
pub type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    /// Creates an error without a remedy.
    pub fn new(message: impl Into<String>) -> Error {
        Error {
            message: message.into(),
            help: None,
            source: None,
        }
    }

    /// Sets the remedy.
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.help = Some(help.into());
        self
    }
}

/// Returns a conversion of an error of an operation: `cannot <operation>: <error>`.
pub fn cannot<E: StdError + Send + Sync + 'static>(operation: impl fmt::Display) -> impl FnOnce(E) -> Error {
    move |error| Error {
        message: format!("cannot {operation}: {error}"),
        help: None,
        source: Some(Box::new(error)),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
