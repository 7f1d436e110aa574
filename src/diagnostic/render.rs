//! Text of diagnostics, with the line that each points to.

use std::fmt;

use super::Diagnostic;

/// Maximum length of the part of a line that is shown, in characters.
const MAX_LINE: usize = 160;
/// Maximum length of a message, a cause or a remedy, in characters: an input may be part of it.
const MAX_TEXT: usize = 16_000;

pub(super) fn diagnostic(diagnostic: &Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", printable(&diagnostic.message))?;
    let (Some(span), Some(snippet)) = (diagnostic.span, &diagnostic.snippet) else {
        return notes(diagnostic, "", f);
    };
    let number = span.line.to_string();
    let margin = " ".repeat(number.len());
    writeln!(f, "\n{margin}--> {}:{}:{}", snippet.file, span.line, span.column)?;
    writeln!(f, "{margin} |")?;
    let (text, indent) = window(&snippet.line, span.column.saturating_sub(1));
    writeln!(f, "{number} | {text}")?;
    write!(f, "{margin} | {}^", " ".repeat(indent))?;
    notes(diagnostic, &format!("{margin} = "), f)
}

/// Writes remedies and, if asked for, causes, each in a line that begins with `indent`.
fn notes(diagnostic: &Diagnostic, indent: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if f.alternate() {
        for cause in diagnostic.causes() {
            write!(f, "\n{indent}caused by: {}", printable(&cause))?;
        }
    }
    for help in &diagnostic.help {
        write!(f, "\n{indent}help: {}", printable(help))?;
    }
    Ok(())
}

/// Replaces control characters, which a terminal would obey, except line feeds and tabs, and cuts a text
/// that is too long.
pub fn printable(text: &str) -> String {
    let replace = |c: char| {
        if c.is_control() && !['\n', '\t'].contains(&c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut rest = text.chars();
    let mut shown: String = rest.by_ref().take(MAX_TEXT).map(replace).collect();
    if rest.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// Replaces line feeds: text from an image or a server must not begin a line that looks like a message of
/// moby's own.
pub fn one_line(text: &str) -> String {
    text.replace('\n', "\u{fffd}")
}

/// Returns the part of a line to show, and the position of the column in it, both in characters:
/// the whole line if it is of usual length, else the part around the column.
fn window(text: &str, column: usize) -> (String, usize) {
    let skip = if text.chars().count() > MAX_LINE {
        column.saturating_sub(MAX_LINE / 2)
    } else {
        0
    };
    let shown = text.chars().skip(skip).take(MAX_LINE);
    (printable(&shown.collect::<String>()), column - skip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_column() {
        assert_eq!(window("a: b", 3), ("a: b".to_owned(), 3));
        let long = format!("{}wrong{}", "x".repeat(5000), "y".repeat(5000));
        let (text, column) = window(&long, 5000);
        assert!(
            text.len() == MAX_LINE && text.split_at(column).1.starts_with("wrong"),
            "{text} {column}"
        );
        assert_eq!(window("\x1b[31m", 0).0, "\u{fffd}[31m");
    }
}
