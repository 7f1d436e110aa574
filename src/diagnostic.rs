//! Errors, warnings and notes for the user: what failed, where, and what to do about it.
//!
//! ```text
//! error: unknown field `onbot`
//!  --> moby.yml:3:1                    the span, and the line that it points to
//!   |
//! 3 | onbot:
//!   | ^
//!   = help: did you mean `onboot`?
//! ```

mod render;
mod size;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

pub(crate) use render::{one_line, printable};
pub use size::size;

/// A place in one of several source files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Index of the source file.
    pub source: usize,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

/// A source file's name and the line of it to which a span points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// File name, as messages show it.
    pub file: String,
    /// Text of the line.
    pub line: String,
}

/// Importance of a diagnostic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    /// No output is built.
    #[default]
    Error,
    /// The result may not be what was meant.
    Warning,
    /// Information.
    Note,
}

/// A message for the user.
#[derive(Clone, Debug, Default)]
pub struct Diagnostic {
    /// Importance.
    pub severity: Severity,
    /// Failure and finding: `<what failed>: <what was found>`.
    pub message: String,
    /// Path of the value in the YAML, `services[0].image`, as far as it is known.
    pub field: String,
    /// Place in a source file.
    pub span: Option<Span>,
    /// Line at the span, attached by [`Diagnostic::with_snippet`].
    pub snippet: Option<Snippet>,
    /// Remedies, each one command or edit.
    pub help: Vec<String>,
    /// Underlying error, which `message` does not repeat.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Diagnostic {
    /// Creates an error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Diagnostic {
            message: message.into(),
            ..Diagnostic::default()
        }
    }

    /// Creates a note.
    pub fn note(message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Note,
            ..Diagnostic::error(message)
        }
    }

    /// Creates a warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(message)
        }
    }

    /// Creates an error at a place.
    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Diagnostic::error(message).with_span(span)
    }

    /// Creates an error about a value of the YAML, whose place is not yet known.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic {
            field: field.into(),
            ..Diagnostic::error(message)
        }
    }

    /// Puts a field before the path of the value: `mounts[1]` becomes `services[0].mounts[1]`.
    pub fn below(mut self, field: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => field.to_owned(),
            own => format!("{field}.{own}"),
        };
        self
    }

    /// Sets the place.
    pub fn with_span(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Adds a remedy.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Sets the underlying error.
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Attaches the line at the span.
    pub fn with_snippet(mut self, snippet: Snippet) -> Self {
        self.snippet = Some(snippet);
        self
    }

    /// Lists the underlying errors, the nearest first, without those whose text the message already
    /// has.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = Error::source(self);
        while let Some(error) = next {
            let text = error.to_string();
            if !self.message.contains(&text) && causes.last().is_none_or(|above| !above.contains(&text)) {
                causes.push(text);
            }
            next = error.source();
        }
        causes
    }
}

impl Error for Diagnostic {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<String> for Diagnostic {
    fn from(message: String) -> Self {
        Diagnostic::error(message)
    }
}

impl From<&str> for Diagnostic {
    fn from(message: &str) -> Self {
        Diagnostic::error(message)
    }
}

/// Shows message, line and remedies; `{:#}` also shows the causes.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::diagnostic(self, f)
    }
}

/// Every error of an operation.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Error for Diagnostics {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.first().and_then(Error::source)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            fmt::Display::fmt(diagnostic, f)?;
        }
        Ok(())
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

/// Returns a remedy, "did you mean ...", if one of the names is near.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    near(name, known).map(|other| format!("did you mean `{other}`?"))
}

/// Maximum length of a name for which similar ones are searched, in bytes.
const MAX_NAME: usize = 256;

/// Returns the name that is likely meant, if there is one: at most half of it differs.
pub fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    all_near(name, known).first().copied()
}

/// Returns the names that may be meant, the nearest first: at most half of each differs.
pub fn all_near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    // The comparison takes the product of the lengths.
    if name.len() > MAX_NAME {
        return Vec::new();
    }
    let lower = name.to_lowercase();
    let longest = |other: &str| lower.chars().count().max(other.chars().count());
    let mut near: Vec<_> = known
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, other)| *distance <= (1 + other.len() / 4).min(longest(other) / 2))
        .collect();
    near.sort();
    near.into_iter().map(|(_, other)| other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_alike_are_near() {
        let known = ["a", "on", "onboot", "services"];
        for (name, expected) in [
            ("5", None),
            ("b", None),
            ("A", Some("a")),
            ("om", Some("on")),
            ("onbot", Some("onboot")),
            ("service", Some("services")),
            ("files", None),
        ] {
            assert_eq!(near(name, known.into_iter()), expected, "{name}");
        }
    }
}
