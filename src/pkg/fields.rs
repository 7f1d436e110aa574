//! Fields of a `build.yml`, as a JSON Schema.

use serde_json::{Value, json};

use crate::config::schema;

/// Returns the JSON Schema, in the subset of [`schema::schema`]. The first required field of a step names
/// its kind.
pub fn schema() -> Value {
    let object = |fields: Value| json!({"type": "object", "additionalProperties": false, "properties": fields});
    let (text, boolean) = (json!({"type": "string"}), json!({"type": "boolean"}));
    let texts = json!({"$ref": "#/definitions/strings"});
    let id = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    let step = |required: &[&str], fields: Value| {
        let mut step = object(fields);
        schema::put(&mut step, "required", json!(required));
        step
    };
    let each = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let steps = json!([
        step(
            &["debian"],
            json!({"debian": texts, "component": text, "closure": boolean, "paths": texts, "exclude": texts})
        ),
        step(&["cargo", "to"], json!({"cargo": text, "bin": text, "to": text})),
        step(&["copy"], json!({"copy": text, "to": text})),
        step(
            &["file", "contents"],
            json!({"file": text, "contents": text, "mode": text, "uid": id, "gid": id})
        ),
        step(&["directory"], json!({"directory": text, "mode": text})),
        step(&["symlink", "target"], json!({"symlink": text, "target": text})),
        step(&["concat", "to"], json!({"concat": texts, "to": text, "mode": text})),
        step(&["ldlinux", "to"], json!({"ldlinux": text, "to": text})),
        step(&["linux", "config"], json!({"linux": text, "config": texts})),
        step(
            &["kernel"],
            json!({"kernel": {"anyOf": [text, each]}, "paths": texts, "exclude": texts})
        ),
    ]);
    let mut schema = object(json!({
        "image": text, "org": text, "arches": texts, "config": {"$ref": "#/definitions/label"},
        "entrypoint": texts, "cmd": texts, "env": texts, "workdir": text,
        "contents": {"type": "array", "items": {"oneOf": steps}},
        // Fields of LinuxKit that moby ignores (src/cmd/linuxkit/pkglib/pkglib.go).
        "tag": text, "dockerfile": text, "extra-sources": texts, "gitrepo": text, "network": boolean,
        "disable-cache": boolean, "buildArgs": texts,
        "depends": object(json!({
            "docker-images": object(json!({"target-dir": text, "target": text, "from-file": text, "list": texts})),
        })),
    }));
    schema::put(&mut schema, "required", json!(["image"]));
    let definitions = schema::schema().get_mut("definitions").map(Value::take);
    schema::put(&mut schema, "definitions", definitions.unwrap_or_default());
    schema
}
