//! Messages on standard error: text for people, JSON for programs.

use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};

/// Options for the messages of every command.
#[derive(Clone, Copy, Debug, Args)]
pub struct MessageOptions {
    /// Format of messages: human, or json, which prints one JSON object a line
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Human, hide_possible_values = true, hide_default_value = true)]
    message_format: Format,
    /// Color messages: auto, always or never [default: auto, which is never if NO_COLOR is set or standard
    /// error is not a terminal]
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true, hide_default_value = true)]
    color: Color,
}

/// Format of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Condition for colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// Style of messages.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// True for one JSON object a line.
    pub is_json: bool,
    is_colored: bool,
    has_causes: bool,
}

impl MessageOptions {
    /// Returns the style of messages; `has_causes` adds the causes of errors.
    pub fn style(self, has_causes: bool) -> Style {
        // https://no-color.org
        let is_allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Style {
            is_json: self.message_format == Format::Json,
            is_colored: match self.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => is_allowed && std::io::stderr().is_terminal(),
            },
            has_causes,
        }
    }
}

impl Style {
    /// Formats a diagnostic, with a line feed.
    pub fn diagnostic(self, diagnostic: &Diagnostic) -> String {
        if self.is_json {
            return line(&json_of(diagnostic));
        }
        let label = self.label(diagnostic.severity);
        if self.has_causes && diagnostic.severity == Severity::Error {
            format!("{label}{diagnostic:#}\n")
        } else {
            format!("{label}{diagnostic}\n")
        }
    }

    /// Returns the head of a message: `error: `.
    pub fn label(self, severity: Severity) -> String {
        let (name, color) = match severity {
            Severity::Error => ("error", 31),
            Severity::Warning => ("warning", 33),
            Severity::Note => ("note", 36),
        };
        if self.is_colored {
            format!("\x1b[1;{color}m{name}\x1b[0m: ")
        } else {
            format!("{name}: ")
        }
    }
}

/// Formats a message of a reason with a field.
pub fn json(reason: &str, field: &str, value: &str) -> String {
    line(&json!({"reason": reason, field: value}))
}

/// Prints text on standard error, which may be closed.
pub fn print(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn json_of(diagnostic: &Diagnostic) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let place = diagnostic.span.zip(diagnostic.snippet.as_ref());
    json!({
        "reason": "diagnostic",
        "severity": severity,
        "message": diagnostic.message,
        "help": diagnostic.help,
        "causes": diagnostic.causes(),
        "field": (!diagnostic.field.is_empty()).then_some(&diagnostic.field),
        "place": place.map(|(span, snippet)| json!({
            "file": snippet.file,
            "line": span.line,
            "column": span.column,
            "text": snippet.line,
        })),
    })
}
