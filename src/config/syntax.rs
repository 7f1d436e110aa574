//! Messages for YAML syntax errors.

use granit_parser::{ErrorKind, ScanError};

use super::node::MAX_DEPTH;
use crate::diagnostic::{Diagnostic, Span};

/// Converts a syntax error of the parser at a place.
pub(super) fn diagnostic(error: &ScanError, span: Span) -> Diagnostic {
    let (found, help) = match error.kind() {
        ErrorKind::ExpectedBlockSequenceEntry => (
            "this line belongs neither to the list above nor to its last item",
            "indent it as far as the item's other lines, or begin it with `- `",
        ),
        ErrorKind::ExpectedBlockMappingKey => (
            "this line belongs to none of the mappings above",
            "indent it as far as the other keys of its mapping",
        ),
        ErrorKind::InvalidIndentation
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::InvalidFlowScalarIndent => (
            "this line is indented less than its value requires",
            "indent it further than the key above",
        ),
        ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart => ("a tab in the indentation", "indent with spaces"),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a second `: ` in one line", "put a value that contains `: ` in quotes")
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => ("a key without `:`", "write it as `key: value`"),
        ErrorKind::UnknownAnchor => (
            "an alias without an anchor",
            "define the anchor above it with `&`, or put a value that begins with `*` in quotes",
        ),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            ("a string whose quote is not closed", "close the quote")
        }
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnclosedFlowCollection { open: '{' } => (
            "a mapping in braces that is not closed",
            "separate its fields with `,` and end it with `}`",
        ),
        ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnclosedFlowCollection { .. } => (
            "a list in brackets that is not closed",
            "separate its items with `,` and end it with `]`",
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "an unknown escape sequence in a string",
            "write a backslash as `\\\\`, or use single quotes",
        ),
        ErrorKind::RecursionLimitExceeded => {
            return Diagnostic::at(span, format!("values are nested more than {MAX_DEPTH} deep"));
        }
        _ => return Diagnostic::at(span, format!("not valid YAML: {}", error.info())),
    };
    Diagnostic::at(span, format!("not valid YAML: {found}")).help(help)
}
