//! OCI runtime configurations of containers, compared field by field.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tree::{Kind, Tree};

use super::Change;

/// Files that describe a container.
const FILES: [&str; 2] = ["config.json", "runtime.json"];
/// Directory of the containers, by section.
const CONTAINERS: &str = "containers";
/// Maximum length of a file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// Maximum number of fields of a file.
const MAX_FIELDS: usize = 100_000;

/// Container whose configuration differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerChange {
    /// Section and name: `services/nginx`.
    pub container: String,
    /// `config.json` or `runtime.json`.
    pub file: &'static str,
    /// Values that differ, as JSON, by JSON pointer (RFC 6901).
    pub changes: BTreeMap<String, Change>,
}

/// Compares the containers that both trees have. Empties the configurations that differ, so that they are not
/// reported a second time as files.
pub fn compare(old: &mut Tree, new: &mut Tree) -> Vec<ContainerChange> {
    let mut changes = Vec::new();
    for path in directories(old) {
        for file in FILES {
            let file_path = format!("{path}/{file}");
            let (Some(one), Some(other)) = (read(old, &file_path), read(new, &file_path)) else {
                continue;
            };
            let (one_fields, other_fields) = (flat(&one), flat(&other));
            let found: BTreeMap<String, Change> = super::fields(&one_fields, &other_fields);
            // With equal fields the file stays: its owner, mode or formatting may differ.
            if found.is_empty() {
                continue;
            }
            clear(old, &file_path);
            clear(new, &file_path);
            let container = path.trim_start_matches(CONTAINERS).trim_start_matches('/');
            changes.push(ContainerChange {
                container: container.to_owned(),
                file,
                changes: found,
            });
        }
    }
    changes
}

/// Lists the directories of the containers.
fn directories(tree: &Tree) -> Vec<String> {
    let names = |path: &str| -> Vec<String> {
        let found = tree.lookup(path.as_bytes()).map(|id| &tree.node(id).kind);
        let Some(Kind::Directory(entries)) = found else {
            return Vec::new();
        };
        let names = entries.keys().filter_map(|name| std::str::from_utf8(name).ok());
        names.map(|name| format!("{path}/{name}")).collect()
    };
    names(CONTAINERS).iter().flat_map(|section| names(section)).collect()
}

fn read(tree: &Tree, path: &str) -> Option<Value> {
    match &tree.node(tree.lookup(path.as_bytes())?).kind {
        Kind::File(content) if content.len() <= MAX_FILE => serde_json::from_slice(&content.to_vec().ok()?).ok(),
        _ => None,
    }
}

/// Empties a file whose content was compared.
fn clear(tree: &mut Tree, path: &str) {
    if let Some(id) = tree.lookup(path.as_bytes()) {
        tree.node_mut(id).kind = Kind::File(extents::Extents::new());
    }
}

/// Lists the values of a document that contain no others, by JSON pointer.
fn flat(document: &Value) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut pending = vec![(String::new(), document)];
    while let Some((pointer, value)) = pending.pop() {
        if fields.len() >= MAX_FIELDS {
            break;
        }
        match value {
            Value::Object(map) if !map.is_empty() => pending.extend(map.iter().map(|(key, value)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                (format!("{pointer}/{key}"), value)
            })),
            // Lists of texts, such as arguments and capabilities, are read as a whole.
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                pending.extend(
                    items
                        .iter()
                        .enumerate()
                        .map(|(at, value)| (format!("{pointer}/{at}"), value)),
                );
            }
            // An object that is empty and one that is not there mean the same.
            Value::Object(_) => {}
            value => drop(fields.insert(pointer, value.to_string())),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_pointers() {
        let document = json!({"process": {"args": ["a", "b"], "cwd": "/"}, "mounts": [{"a/b": 1}, {}]});
        let expected = [
            ("/mounts/0/a~1b", "1"),
            ("/process/args", r#"["a","b"]"#),
            ("/process/cwd", "\"/\""),
        ];
        let expected = expected.map(|(pointer, value)| (pointer.to_owned(), value.to_owned()));
        assert_eq!(flat(&document), BTreeMap::from(expected));
    }
}
