//! What is wrong with a YAML, and where.

use std::fmt;

/// A place in one of the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Which source, counted from 0.
    pub source: usize,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

/// One complaint, with the line that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// `file:line:column`.
    pub place: String,
    /// The line itself.
    pub text: String,
    /// Line and column, counted from 1.
    pub at: (usize, usize),
    /// What to do.
    pub help: Option<String>,
}

/// All that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let (line, column) = diagnostic.at;
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            writeln!(f, "{}", diagnostic.message)?;
            writeln!(f, "{margin}--> {}", diagnostic.place)?;
            writeln!(f, "{margin} |")?;
            writeln!(f, "{number} | {}", diagnostic.text)?;
            write!(f, "{margin} | {}^", " ".repeat(column.saturating_sub(1)))?;
            if let Some(help) = &diagnostic.help {
                write!(f, "\n{margin} = help: {help}")?;
            }
        }
        Ok(())
    }
}

/// A complaint whose line is not looked up yet.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Complaint {
    /// One without advice.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Complaint {
            span,
            message: message.into(),
            help: None,
        }
    }

    /// With advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// "did you mean ...", when one of the names is near.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    known
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, other)| *distance <= 1 + other.len() / 4)
        .min()
        .map(|(_, other)| format!("did you mean `{other}`?"))
}
