//! JSON as Go's encoder writes it: indented by four spaces, with `<`, `>`, `&` and the line
//! separators of Unicode escaped.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// Serializes a value, without a newline at the end.
pub fn to_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = Serializer::with_formatter(&mut bytes, formatter);
    // A value in memory has only text keys and finite numbers, so nothing can fail.
    let _ = value.serialize(&mut serializer);
    let text = String::from_utf8_lossy(&bytes);
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => escaped.push(other),
        }
    }
    escaped.into_bytes()
}
