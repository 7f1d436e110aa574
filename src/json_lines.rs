//! JSON with one item a line and sorted keys: a changed item is a changed line.

use serde::Serialize;

/// Formats an object of fields, each already formatted by [`list`] or [`line`].
pub fn object(fields: &[(&str, String)]) -> String {
    let lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("  \"{name}\": {value}"))
        .collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// Formats a list, one item a line.
pub fn list<T: Serialize>(items: &[T]) -> String {
    if items.is_empty() {
        return "[]".into();
    }
    let lines: Vec<String> = items.iter().map(|item| format!("    {}", line(item))).collect();
    format!("[\n{}\n  ]", lines.join(",\n"))
}

/// Formats a value on one line, with sorted keys.
pub fn line<T: Serialize>(item: &T) -> String {
    // The values have string keys and finite numbers.
    let mut value = serde_json::to_value(item).unwrap_or_default();
    value.sort_all_objects();
    value.to_string()
}
