//! What is wrong with a YAML, and where.

use std::fmt;

/// How much of a line is shown, in characters.
const LONGEST_LINE: usize = 160;

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
            let (text, indent) = window(&diagnostic.text, column.saturating_sub(1));
            writeln!(f, "{number} | {text}")?;
            write!(f, "{margin} | {}^", " ".repeat(indent))?;
            if let Some(help) = &diagnostic.help {
                for help in help.split("\nhelp: ") {
                    write!(f, "\n{margin} = help: {help}")?;
                }
            }
        }
        Ok(())
    }
}

/// What is shown of a line, and where in that the column is, both counted in characters: all of a
/// usual line, else what is around the column. Control characters are not let loose on a terminal.
fn window(text: &str, column: usize) -> (String, usize) {
    let skip = match text.chars().count() > LONGEST_LINE {
        true => column.saturating_sub(LONGEST_LINE / 2),
        false => 0,
    };
    let shown = text.chars().skip(skip).take(LONGEST_LINE);
    let shown = shown.map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c });
    (shown.collect(), column - skip)
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

    /// One from a text whose advice follows in lines of its own, which begin with `help: `.
    pub fn from_text(span: Span, text: &str) -> Self {
        match text.split_once("\nhelp: ") {
            Some((message, help)) => Complaint::new(span, message).help(help),
            None => Complaint::new(span, text),
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
    near(name, known).map(|other| format!("did you mean `{other}`?"))
}

/// The one of the names that is likely meant, if any: no more than half of it differs.
pub fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let longest = |other: &str| lower.chars().count().max(other.chars().count());
    known
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, other)| *distance <= (1 + other.len() / 4).min(longest(other) / 2))
        .min()
        .map(|(_, other)| other)
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

    #[test]
    fn long_lines_are_cut_around_the_column() {
        assert_eq!(window("a: b", 3), ("a: b".to_owned(), 3));
        let long = format!("{}wrong{}", "x".repeat(5000), "y".repeat(5000));
        let (text, column) = window(&long, 5000);
        assert!(
            text.len() == LONGEST_LINE && text.split_at(column).1.starts_with("wrong"),
            "{text} {column}"
        );
        assert_eq!(window("\x1b[31m", 0).0, "\u{fffd}[31m");
    }
}
