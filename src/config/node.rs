//! YAML text as a tree of nodes with their places, typed as Go's yaml.v3, LinuxKit's parser, does it.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use base64::prelude::{BASE64_STANDARD, Engine};
use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::syntax;
use crate::diagnostic::{Diagnostic, Span, size};

/// Maximum number of values, with aliases expanded.
const MAX_NODES: usize = 200_000;
/// Maximum length of all strings that anchors and aliases copy, in bytes.
const MAX_COPIED: usize = 64 << 20;
/// Maximum depth of nested values.
pub(super) const MAX_DEPTH: usize = 64;

/// Value with the place where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

/// Type and content of a value.
#[derive(Clone, Debug)]
pub enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Span, Node)>),
}

impl Kind {
    /// Returns the name of the type, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Null => "nothing (null)",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) => "an integer",
            Kind::Float(value) if value.abs() >= i64::MAX as f64 => "a number of more than 63 bits",
            Kind::Float(_) => "a number with a fraction",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// Converts the value to JSON.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => Value::from(*value),
            Kind::Float(value) => Value::from(*value),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(entries) => {
                let entries = entries.iter().map(|(key, _, value)| (key.clone(), value.to_json()));
                Value::Object(entries.collect())
            }
        }
    }
}

/// Parses a text of one document; `None` if it is empty.
///
/// # Errors
/// Text that is not UTF-8 or not YAML, a second document, and values beyond the limits.
pub fn parse(text: &[u8], source: usize) -> Result<Option<Node>, Diagnostic> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let mut lines = before.split(|&byte| byte == b'\n');
        let last = String::from_utf8_lossy(lines.next_back().unwrap_or_default());
        let span = Span {
            source,
            line: 1 + lines.count(),
            column: 1 + last.chars().count(),
        };
        Diagnostic::at(span, "the file is not UTF-8 text")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A last line without a line feed gets none (YAML 1.2.2, b-chomped-last), as in LinuxKit. The parser
    // buffers comment events, and limits their number, but not comments that it skips.
    let options = granit_parser::options! {
        block_scalar_eof_without_line_feed: true,
        emit_comments: false,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        source,
        anchors: BTreeMap::new(),
        nodes: 0,
        copied: 0,
    };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(None),
            (event, span) => {
                let node = reader.node(event, span, 0)?;
                reader.end()?;
                return Ok(Some(node));
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    source: usize,
    anchors: BTreeMap<usize, Rc<Node>>,
    nodes: usize,
    copied: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        let at = |line, column: usize| Span {
            source: self.source,
            line,
            column: column + 1,
        };
        match self.parser.next_event() {
            None => Ok((Event::StreamEnd, at(1, 0))),
            Some(Ok((event, span))) => Ok((event, at(span.start.line(), span.start.col()))),
            Some(Err(error)) => {
                let marker = error.marker();
                Err(syntax::diagnostic(&error, at(marker.line(), marker.col())))
            }
        }
    }

    /// Checks that no second document follows.
    fn end(&mut self) -> Result<(), Diagnostic> {
        let mut document = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(..), span) => document = Some(span),
                (Event::DocumentEnd, _) => {}
                // An empty document, such as that after a last `---`.
                (Event::Scalar(text, ScalarStyle::Plain, ..), _) if text.is_empty() || &*text == "~" => {}
                (_, span) => {
                    let message = "multiple YAML documents in one file are not supported";
                    let diagnostic = Diagnostic::at(document.unwrap_or(span), message);
                    return Err(
                        diagnostic.help("put it into a file of its own: moby merges the files that it is given")
                    );
                }
            }
        }
    }

    /// Counts values against the limit.
    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let message = format!("with its aliases expanded, the file has more than {MAX_NODES} values");
            return Err(Diagnostic::at(span, message));
        }
        Ok(())
    }

    /// Counts a copy of a node, for an anchor or an alias, against the limits.
    fn count_copy(&mut self, node: &Node, span: Span) -> Result<(), Diagnostic> {
        let (nodes, bytes) = weight(node);
        self.count(nodes, span)?;
        self.copied = self.copied.saturating_add(bytes);
        if self.copied > MAX_COPIED {
            let limit = size(MAX_COPIED as u64);
            let message = format!("with its aliases expanded, the file has more than {limit} of text");
            return Err(Diagnostic::at(span, message));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(Diagnostic::at(
                span,
                format!("values are nested more than {MAX_DEPTH} deep"),
            ));
        }
        self.count(1, span)?;
        let (anchor, kind) = match event {
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    let message = "the alias is inside the value that it refers to";
                    return Err(Diagnostic::at(span, message));
                };
                self.count_copy(&node, span)?;
                return Ok(Node {
                    span,
                    kind: node.kind.clone(),
                });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let kind = match tag.as_deref().filter(|tag| !is_blank(tag)) {
                    Some(tag) => tagged(&text, tag, span)?,
                    None if style == ScalarStyle::Plain => plain(&text),
                    None => Kind::Text(text.into_owned()),
                };
                (anchor, kind)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (anchor, Kind::List(items))
            }
            Event::MappingStart(_, anchor, _) => (anchor, Kind::Map(self.entries(depth)?)),
            _ => return Err(Diagnostic::at(span, "not valid YAML here")),
        };
        let node = Node { span, kind };
        if anchor > 0 {
            self.count_copy(&node, span)?;
            self.anchors.insert(anchor, Rc::new(node.clone()));
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(String, Span, Node)>, Diagnostic> {
        let mut entries: Vec<(String, Span, Node)> = Vec::new();
        let mut lines = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = match self.node(event, span, depth + 1)?.kind {
                Kind::Text(key) => key,
                Kind::Int(key) => key.to_string(),
                Kind::Bool(key) => key.to_string(),
                other => {
                    let diagnostic = Diagnostic::at(span, format!("{} cannot be a key", other.name()));
                    return Err(diagnostic.help("write a string as the key, in quotes if need be"));
                }
            };
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            if key == "<<" {
                match value.kind {
                    Kind::Map(more) => merged.extend(more),
                    Kind::List(list) => merged.extend(list.into_iter().flat_map(|node| match node.kind {
                        Kind::Map(more) => more,
                        _ => Vec::new(),
                    })),
                    _ => {
                        let diagnostic = Diagnostic::at(value_span, "only mappings can be merged with <<");
                        return Err(diagnostic.help("write an alias of a mapping, such as `<<: *name`"));
                    }
                }
                continue;
            }
            if let Some(first) = lines.insert(key.clone(), span.line) {
                let message = format!("duplicate key `{key}`");
                return Err(Diagnostic::at(span, message).help(format!("the first is on line {first}")));
            }
            entries.push((key, span, value));
        }
        for (key, span, value) in merged {
            if lines.insert(key.clone(), span.line).is_none() {
                entries.push((key, span, value));
            }
        }
        Ok(entries)
    }
}

/// Returns the number of values in a node, and the length of their strings in bytes.
fn weight(node: &Node) -> (usize, usize) {
    let add = |(nodes, bytes): (usize, usize), (more, own): (usize, usize)| (nodes + more, bytes + own);
    match &node.kind {
        Kind::List(items) => items.iter().map(weight).fold((1, 0), add),
        Kind::Map(entries) => entries
            .iter()
            .map(|(key, _, value)| add(weight(value), (0, key.len())))
            .fold((1, 0), add),
        Kind::Text(text) => (1, text.len()),
        _ => (1, 0),
    }
}

/// Returns true for the tag `!`, which names no type.
fn is_blank(tag: &Tag) -> bool {
    let (handle, suffix) = tag.parts();
    matches!((handle, suffix), ("" | "!", "") | ("", "!"))
}

/// Parses a scalar with a tag, in quotes or not, as yaml.v3 does: scalars with unknown tags are strings.
fn tagged(text: &str, tag: &Tag, span: Span) -> Result<Kind, Diagnostic> {
    let name = tag.suffix_in_namespace("tag:yaml.org,2002:");
    let name = name.as_deref().unwrap_or_default();
    let kind = match (name, plain(text)) {
        ("int", kind @ Kind::Int(_))
        | ("float", kind @ (Kind::Int(_) | Kind::Float(_)))
        | ("bool", kind @ Kind::Bool(_))
        | ("null", kind @ Kind::Null) => kind,
        ("binary", _) => {
            let encoded: String = text.chars().filter(|c| !['\r', '\n'].contains(c)).collect();
            let bytes = BASE64_STANDARD.decode(encoded);
            let bytes = bytes.map_err(|error| Diagnostic::at(span, format!("this !!binary is not base64: {error}")))?;
            let text = String::from_utf8(bytes);
            Kind::Text(text.map_err(|_| {
                let diagnostic = Diagnostic::at(span, "this !!binary is not UTF-8 text");
                diagnostic.help("put the content into a file, and name it with `source:`")
            })?)
        }
        ("int" | "float" | "bool" | "null" | "map" | "seq", _) => {
            return Err(Diagnostic::at(span, format!("{text:?} is not a valid !!{name}")));
        }
        _ => Kind::Text(text.to_owned()),
    };
    Ok(kind)
}

/// Parses a scalar without quotes (YAML 1.2 core schema, with Go's remnants of 1.1).
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let first = text.bytes().next().unwrap_or_default();
    if first.is_ascii_digit() || b"+-.".contains(&first) {
        let digits = text.replace('_', "");
        let (sign, body) = match digits.strip_prefix('-') {
            Some(body) => (-1, body),
            None => (1, digits.strip_prefix('+').unwrap_or(&digits)),
        };
        let radix = |prefix: &str, radix| body.strip_prefix(prefix).map(|body| i64::from_str_radix(body, radix));
        let octal = (body.len() > 1 && body.starts_with('0')).then(|| i64::from_str_radix(body, 8));
        let parsed = radix("0x", 16).or(radix("0o", 8)).or(radix("0b", 2)).or(octal);
        if let Ok(value) = parsed.unwrap_or_else(|| body.parse()) {
            return Kind::Int(value.saturating_mul(sign));
        }
        let number = body
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
        if let (true, Ok(value)) = (number, digits.parse::<f64>()) {
            return Kind::Float(value);
        }
    }
    Kind::Text(text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(yaml: &str) -> String {
        match parse(yaml.as_bytes(), 0).unwrap().unwrap().kind {
            Kind::Map(entries) => match &entries[0].2.kind {
                Kind::Text(text) => text.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tags_are_read_as_gos_yaml_reads_them() {
        let kind = |yaml: &str| parse(yaml.as_bytes(), 0).map(|node| format!("{:?}", node.unwrap().kind));
        for (yaml, expected) in [
            ("!!str 5", "Text(\"5\")"),
            ("!!binary aGVsbG8=", "Text(\"hello\")"),
            ("!!binary |\n  aGVs\n  bG8=\n", "Text(\"hello\")"),
            ("!!int \"5\"", "Int(5)"),
            ("!!int '0x10'", "Int(16)"),
            ("!!float 5", "Int(5)"),
            ("!!float '1.5'", "Float(1.5)"),
            ("!!bool \"true\"", "Bool(true)"),
            ("!!null ''", "Null"),
            ("!!timestamp 2001-01-01", "Text(\"2001-01-01\")"),
            ("!own 5", "Text(\"5\")"),
            ("! 5", "Int(5)"),
            ("! '5'", "Text(\"5\")"),
        ] {
            assert_eq!(kind(yaml).unwrap(), expected, "{yaml:?}");
        }
        for (yaml, expected) in [
            ("!!int x", "\"x\" is not a valid !!int"),
            ("!!bool yes", "\"yes\" is not a valid !!bool"),
            ("!!seq x", "\"x\" is not a valid !!seq"),
            ("!!binary 'a b'", "is not base64"),
            ("!!binary /w==", "is not UTF-8"),
        ] {
            let message = kind(yaml).unwrap_err().message;
            assert!(message.contains(expected), "{yaml:?}: {message}");
        }
    }

    #[test]
    fn comments_are_skipped_whatever_their_number() {
        let comments = "# a comment\n".repeat(100_000);
        let yaml = format!("{comments}a:\n{comments}  b: 1\n{comments}");
        assert!(parse(yaml.as_bytes(), 0).unwrap().is_some());
    }

    #[test]
    fn aliases_are_limited_in_values_and_bytes() {
        let text = "x".repeat(1 << 20);
        let aliases = "- *a\n".repeat(3000);
        let error = parse(format!("- &a {text}\n{aliases}").as_bytes(), 0).unwrap_err();
        assert!(error.message.contains("more than 64 MiB of text"), "{}", error.message);
        let few = "- *a\n".repeat(10);
        assert!(parse(format!("- &a {text}\n{few}").as_bytes(), 0).is_ok());
        // Anchors are copies too.
        let nested: String = (0..60).map(|at| format!("&a{at} [")).collect();
        let items = "x,".repeat(100_000);
        let error = parse(format!("{nested}{items}{}", "]".repeat(60)).as_bytes(), 0).unwrap_err();
        assert!(error.message.contains("values"), "{}", error.message);
    }

    #[test]
    fn a_second_document_is_an_error() {
        for yaml in ["a: 1\n---\nb: 2\n", "a: 1\n...\n---\n[b]\n", "---\na: 1\n---\nb\n"] {
            let error = parse(yaml.as_bytes(), 0).unwrap_err();
            assert!(
                error.message.contains("multiple YAML documents"),
                "{yaml:?}: {}",
                error.message
            );
        }
        for yaml in [
            "a: 1\n",
            "---\na: 1\n",
            "a: 1\n---\n",
            "a: 1\n...\n",
            "--- # x\na: 1\n--- # y\n# z\n",
        ] {
            assert!(parse(yaml.as_bytes(), 0).unwrap().is_some(), "{yaml:?}");
        }
    }

    #[test]
    fn syntax_errors_have_a_remedy() {
        for (yaml, found, line) in [
            ("a:\n  - b\n  c: 1\n", "neither to the list", 3),
            ("a: 1\n b: 2\n", "", 2),
            ("a:\n\tb: 1\n", "tab", 2),
            ("a: b: c\n", "second `: `", 1),
            ("a: *b\n", "alias without an anchor", 1),
            ("a: \"b\n", "quote is not closed", 1),
            ("a: {b: 1\n", "braces", 1),
            ("a: [b\n", "brackets", 1),
        ] {
            let error = parse(yaml.as_bytes(), 0).unwrap_err();
            let at = error.span.unwrap().line;
            assert!(
                error.message.contains(found) && !error.help.is_empty(),
                "{yaml:?}: {error}"
            );
            assert_eq!(at, line, "{yaml:?}: {error}");
        }
    }

    #[test]
    fn the_last_line_of_a_block_ends_as_the_file_does() {
        for (yaml, expected) in [
            ("a: |\n  x", "x"),
            ("a: |+\n  x", "x"),
            ("a: |-\n  x", "x"),
            ("a: >\n  x\n  y", "x y"),
            ("a: >+\n  x\n  y", "x y"),
            ("a: |\n  x\n", "x\n"),
            ("a: |+\n  x\n\n", "x\n\n"),
            ("a: |\n  x\n  ", "x\n"),
            ("a: |\r\n  x\r\n", "x\n"),
            ("a: |\n  x\nb: c", "x\n"),
        ] {
            assert_eq!(text(yaml), expected, "{yaml:?}");
        }
    }
}
