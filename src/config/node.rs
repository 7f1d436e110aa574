//! YAML text as a tree whose keys and values know where they stand, typed as Go's yaml.v3
//! types it, which is what LinuxKit reads with.

use std::collections::{BTreeMap, HashMap};

use base64::prelude::{BASE64_STANDARD, Engine};
use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::diagnostic::{Diagnostic, Span};

/// How many nodes there may be after aliases are filled in, and how deep they may nest.
const MOST_NODES: usize = 200_000;
const DEEPEST: usize = 64;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

/// What a value is.
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
    /// Its name in messages.
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
    /// The same as JSON.
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

/// The first document of a text; `None` when there is none.
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
    // A last line without a line feed gets none (YAML 1.2.2, b-chomped-last), as in LinuxKit.
    let options = granit_parser::options! { block_scalar_eof_without_line_feed: true };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        source,
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(None),
            (event, span) => return reader.node(event, span, 0).map(Some),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    source: usize,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
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
            Some(Ok((Event::Comment(..), _))) => self.next(),
            Some(Ok((event, span))) => Ok((event, at(span.start.line(), span.start.col()))),
            Some(Err(error)) => {
                let marker = error.marker();
                let diagnostic = Diagnostic::at(
                    at(marker.line(), marker.col()),
                    format!("not valid YAML: {}", error.info()),
                );
                Err(diagnostic)
            }
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Diagnostic> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            return Err(Diagnostic::at(
                span,
                format!("with its aliases filled in the file has more than {MOST_NODES} values"),
            ));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > DEEPEST {
            return Err(Diagnostic::at(
                span,
                format!("values are nested more than {DEEPEST} deep"),
            ));
        }
        self.count(1, span)?;
        let (anchor, kind) = match event {
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Diagnostic::at(span, "the alias stands within what it names"));
                };
                let node = Node {
                    span,
                    kind: node.kind.clone(),
                };
                self.count(size(&node), span)?;
                return Ok(node);
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
            self.anchors.insert(anchor, node.clone());
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
                other => return Err(Diagnostic::at(span, format!("{} cannot be a key", other.name()))),
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
                    _ => return Err(Diagnostic::at(value_span, "only mappings can be merged with <<")),
                }
                continue;
            }
            if let Some(first) = lines.insert(key.clone(), span.line) {
                let message = format!("`{key}` stands here a second time");
                return Err(Diagnostic::at(span, message).help(format!("the first is in line {first}")));
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

fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|(_, _, value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Whether a tag is the `!` that names no type.
fn is_blank(tag: &Tag) -> bool {
    let (handle, suffix) = tag.parts();
    matches!((handle, suffix), ("" | "!", "") | ("", "!"))
}

/// A scalar that says its type, in quotes or not, as yaml.v3 reads it: tags of somebody's own are
/// texts.
fn tagged(text: &str, tag: &Tag, span: Span) -> Result<Kind, Diagnostic> {
    let name = tag.suffix_in_namespace("tag:yaml.org,2002:");
    let name = name.as_deref().unwrap_or_default();
    let kind = match (name, plain(text)) {
        ("int", kind @ Kind::Int(_))
        | ("float", kind @ (Kind::Int(_) | Kind::Float(_)))
        | ("bool", kind @ Kind::Bool(_))
        | ("null", kind @ Kind::Null) => kind,
        ("binary", _) => {
            let packed: String = text.chars().filter(|c| !['\r', '\n'].contains(c)).collect();
            let bytes = BASE64_STANDARD.decode(packed);
            let bytes = bytes.map_err(|error| Diagnostic::at(span, format!("this !!binary is not base64: {error}")))?;
            let text = String::from_utf8(bytes);
            Kind::Text(text.map_err(|_| {
                let diagnostic = Diagnostic::at(span, "this !!binary is not UTF-8 text, which all values here are");
                diagnostic.help("the `source:` of a file takes any content")
            })?)
        }
        ("int" | "float" | "bool" | "null" | "map" | "seq", _) => {
            return Err(Diagnostic::at(
                span,
                format!("{text:?} cannot be a !!{name}, as its tag says"),
            ));
        }
        _ => Kind::Text(text.to_owned()),
    };
    Ok(kind)
}

/// The type of a scalar without quotes (YAML 1.2 core schema with Go's relics of 1.1).
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
            ("!!int x", "\"x\" cannot be a !!int"),
            ("!!bool yes", "\"yes\" cannot be a !!bool"),
            ("!!seq x", "\"x\" cannot be a !!seq"),
            ("!!binary 'a b'", "is not base64"),
            ("!!binary /w==", "is not UTF-8"),
        ] {
            let message = kind(yaml).unwrap_err().message;
            assert!(message.contains(expected), "{yaml:?}: {message}");
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
