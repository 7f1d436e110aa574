//! JSON Schema of the YAML, and checking nodes against it. Editors and moby use the same table of fields.

use serde_json::{Map, Value, json};

use super::node::{Kind, Node};
use crate::diagnostic::{Diagnostic, Span, nearest};

/// Returns the schema that `moby schema` prints (draft 7). Fields and types are LinuxKit's.
pub fn schema() -> Value {
    let object = |fields: Value| json!({"type": "object", "additionalProperties": false, "properties": fields});
    let list = |name: &str| json!({"type": "array", "items": reference(name)});
    let (text, integer, boolean) = (
        json!({"type": "string"}),
        json!({"type": "integer"}),
        json!({"type": "boolean"}),
    );
    // Types uint16, uint32 and uint64 of the runtime specification.
    let bits = |maximum: u32| json!({"type": "integer", "minimum": 0, "maximum": maximum});
    let (bits16, bits32) = (bits(u16::MAX.into()), bits(u32::MAX));
    let bits64 = json!({"type": "integer", "minimum": 0});
    let texts = reference("strings");
    let id = json!({"anyOf": [text, bits32]});
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut image = object(json!({
        "name": text, "image": text, "capabilities": texts, "capabilities.add": texts, "ambient": texts,
        "mounts": list("mount"), "binds": texts, "binds.add": texts, "devices": list("device"), "tmpfs": texts,
        "command": texts, "env": texts, "cwd": text, "net": text, "pid": text, "ipc": text, "uts": text,
        "userns": text, "readonly": boolean, "maskedPaths": texts, "readonlyPaths": texts, "uid": id, "gid": id,
        "additionalGids": {"type": "array", "items": id}, "noNewPrivileges": boolean, "hostname": text,
        "oomScoreAdj": integer, "rootfsPropagation": text, "cgroupsPath": text,
        "resources": reference("resources"), "sysctl": map, "rlimits": texts,
        "uidMappings": list("idmapping"), "gidMappings": list("idmapping"), "annotations": map,
        "runtime": reference("runtime"),
    }));
    // The label of an image has the same fields without these two.
    let mut label = image.clone();
    if let Some(Value::Object(fields)) = label.get_mut("properties") {
        fields.shift_remove("name");
        fields.shift_remove("image");
    }
    put(&mut image, "required", json!(["name", "image"]));
    let mut service = image.clone();
    if let Some(fields) = service.get_mut("properties") {
        put(fields, "restart", json!({"enum": ["always", "no"]}));
    }
    let definitions = json!({
        "strings": {"type": "array", "items": {"type": "string"}},
        "kernel": object(json!({"image": text, "cmdline": text, "binary": text, "tar": text, "ucode": text})),
        "boot": object(json!({"bios": text, "efi": text, "initrd": text, "rpi": text, "timeout": bits32})),
        "file": object(json!({
            "path": text, "directory": boolean, "symlink": text, "contents": text, "source": text,
            "metadata": text, "optional": boolean, "mode": text, "uid": id, "gid": id,
        })),
        "volume": object(json!({
            "name": text, "image": text, "readonly": boolean, "format": {"enum": ["oci", "filesystem"]},
            "platforms": texts,
        })),
        "disk": object(json!({"partitions": list("partition")})),
        "partition": {
            "type": "object", "additionalProperties": false, "required": ["label"],
            "properties": {
                "label": text, "type": text, "filesystem": {"enum": ["ext4", "fat", "squashfs", "erofs"]},
                "size": {"anyOf": [text, bits32]}, "grow": boolean, "files": list("file"), "volume": text,
            },
        },
        "trust": object(json!({"policy": text, "image": texts, "org": texts})),
        "mount": object(json!({
            "destination": text, "type": text, "source": text, "options": texts,
            "uidmappings": list("idmapping"), "gidmappings": list("idmapping"),
        })),
        "device": object(json!({"path": text, "type": text, "major": integer, "minor": integer, "mode": text})),
        "idmapping": object(json!({"hostID": bits32, "containerID": bits32, "size": bits32})),
        "devicecgroup": object(json!({
            "allow": boolean, "type": text, "major": integer, "minor": integer, "access": text,
        })),
        "weightdevice": object(json!({
            "major": integer, "minor": integer, "weight": bits16, "leafWeight": bits16,
        })),
        "throttledevice": object(json!({"major": integer, "minor": integer, "rate": bits64})),
        "hugepagelimit": object(json!({"pageSize": bits64, "limit": bits64})),
        "priority": object(json!({"name": text, "priority": bits32})),
        "resources": object(json!({
            "devices": list("devicecgroup"),
            "memory": object(json!({
                "limit": integer, "reservation": integer, "swap": integer, "kernel": integer,
                "kernelTCP": integer, "swappiness": bits64, "disableOOMKiller": boolean,
            })),
            "cpu": object(json!({
                "shares": bits64, "quota": integer, "period": bits64, "realtimeRuntime": integer,
                "realtimePeriod": bits64, "cpus": text, "mems": text,
            })),
            "pids": object(json!({"limit": integer})),
            "blockio": object(json!({
                "weight": bits16, "leafWeight": bits16, "weightDevice": list("weightdevice"),
                "throttleReadBpsDevice": list("throttledevice"), "throttleWriteBpsDevice": list("throttledevice"),
                "throttleReadIOPSDevice": list("throttledevice"), "throttleWriteIOPSDevice": list("throttledevice"),
            })),
            "hugepageLimits": list("hugepagelimit"),
            "network": object(json!({"classID": bits32, "priorities": list("priority")})),
        })),
        "interface": object(json!({"name": text, "add": text, "peer": text, "createInRoot": boolean})),
        "namespaces": object(json!({
            "cgroup": text, "ipc": text, "mnt": text, "net": text, "pid": text, "user": text, "uts": text,
        })),
        "runtime": object(json!({
            "cgroups": texts, "mounts": list("mount"), "mkdir": texts, "interfaces": list("interface"),
            "bindNS": reference("namespaces"), "namespace": text,
        })),
        "image": image,
        "service": service,
        "label": label,
    });
    let mut schema = object(json!({
        "kernel": reference("kernel"), "boot": reference("boot"), "init": texts, "onboot": list("image"), "onshutdown": list("image"),
        "services": list("service"), "trust": reference("trust"), "files": list("file"), "volumes": list("volume"),
        "disk": reference("disk"),
    }));
    put(&mut schema, "$schema", json!("http://json-schema.org/draft-07/schema#"));
    put(&mut schema, "title", json!("moby"));
    put(&mut schema, "definitions", definitions);
    schema
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// Sets a field of a schema.
pub(crate) fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value);
    }
}

/// Checks a node against the schema, or against one of its definitions. Calls `visit` with the path
/// (`services[0].image`) and place of each value.
pub fn check(node: &Node, definition: Option<&str>, visit: &mut dyn FnMut(&str, Span)) -> Vec<Diagnostic> {
    let schema = schema();
    let rule = match definition {
        Some(name) => schema.pointer(&format!("/definitions/{name}")).unwrap_or(&Value::Null),
        None => &schema,
    };
    against(&schema, rule, node, visit)
}

/// Checks a node against a rule of a schema, or against the whole schema.
pub(crate) fn against(schema: &Value, rule: &Value, node: &Node, visit: &mut dyn FnMut(&str, Span)) -> Vec<Diagnostic> {
    let mut checker = Checker {
        schema,
        diagnostics: Vec::new(),
        visit,
    };
    checker.node(node, rule, String::new());
    checker.diagnostics
}

struct Checker<'a> {
    schema: &'a Value,
    diagnostics: Vec<Diagnostic>,
    visit: &'a mut dyn FnMut(&str, Span),
}

impl<'a> Checker<'a> {
    fn node(&mut self, node: &Node, rule: &'a Value, path: String) {
        (self.visit)(&path, node.span);
        let rule = match rule.get("$ref").and_then(Value::as_str) {
            Some(pointer) => self.schema.pointer(pointer.trim_start_matches('#')).unwrap_or(rule),
            None => rule,
        };
        if let Some(allowed) = rule.get("enum").and_then(Value::as_array) {
            if !allowed.contains(&node.to_json()) {
                let names: Vec<_> = allowed.iter().map(Value::to_string).collect();
                let message = format!("{} must be one of {}", shown(&path), names.join(", "));
                self.diagnostics.push(Diagnostic::at(node.span, message));
            }
            return;
        }
        if let Some(choices) = rule.get("oneOf").and_then(Value::as_array) {
            self.choice(node, choices, &path);
            return;
        }
        let choices = match rule.get("anyOf").and_then(Value::as_array) {
            Some(choices) => choices.as_slice(),
            None => std::slice::from_ref(rule),
        };
        let types: Vec<&str> = choices
            .iter()
            .filter_map(|choice| choice.get("type")?.as_str())
            .collect();
        let found = match &node.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "boolean",
            Kind::Int(_) => "integer",
            Kind::Float(_) => "number",
            Kind::Text(_) => "string",
            Kind::List(_) => "array",
            Kind::Map(_) => "object",
        };
        if !types.contains(&found) {
            self.wrong_type(node, &path, &types);
            return;
        }
        let fits = |choice: &&Value| choice.get("type").and_then(Value::as_str) == Some(found);
        let rule = choices.iter().find(fits).unwrap_or(rule);
        match &node.kind {
            Kind::List(items) => {
                let rule = rule.get("items").unwrap_or(&Value::Null);
                for (at, item) in items.iter().enumerate() {
                    self.node(item, rule, format!("{path}[{at}]"));
                }
            }
            Kind::Map(entries) => self.map(node, entries, rule, &path),
            Kind::Int(value) => self.range(node, *value, choices, &path),
            Kind::Text(text) if text.contains('\0') && !path.ends_with("].contents") => {
                let message = format!("{} has a NUL character", shown(&path));
                self.diagnostics.push(Diagnostic::at(node.span, message));
            }
            _ => {}
        }
    }

    fn range(&mut self, node: &Node, value: i64, choices: &[Value], path: &str) {
        let limit = |name: &str| choices.iter().find_map(|choice| choice.get(name)?.as_i64());
        let range = match (limit("minimum"), limit("maximum")) {
            (Some(min), Some(max)) if !(min..=max).contains(&value) => format!("from {min} to {max}"),
            (Some(min), None) if value < min => format!("at least {min}"),
            _ => return,
        };
        let message = format!("{} must be {range}, not {value}", shown(path));
        self.diagnostics.push(Diagnostic::at(node.span, message));
    }

    /// Checks a mapping against the one of several rules whose first required field it has.
    fn choice(&mut self, node: &Node, choices: &'a [Value], path: &str) {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, path, &["object"]);
            return;
        };
        let kinds = || {
            choices
                .iter()
                .filter_map(|rule| Some((rule.pointer("/required/0")?.as_str()?, rule)))
        };
        let chosen = entries
            .iter()
            .find_map(|(key, _, _)| kinds().find(|(kind, _)| kind == key));
        if let Some((_, rule)) = chosen {
            self.map(node, entries, rule, path);
            return;
        }
        let names = || kinds().map(|(kind, _)| kind);
        let known = |key: &str| {
            choices
                .iter()
                .any(|rule| rule.pointer("/properties").is_some_and(|all| all.get(key).is_some()))
        };
        let meant = entries.iter().filter(|(key, _, _)| !known(key));
        let meant = meant.filter_map(|(key, span, _)| Some((key, *span, nearest(key, names())?)));
        self.diagnostics.push(match meant.into_iter().next() {
            Some((key, span, help)) => Diagnostic::at(span, format!("unknown field `{key}`")).help(help),
            None => {
                let all = names().collect::<Vec<_>>().join(", ");
                Diagnostic::at(node.span, format!("cannot tell the type of {}", shown(path)))
                    .help(format!("add one of the fields {all}"))
            }
        });
    }

    fn map(&mut self, node: &Node, entries: &[(String, Span, Node)], rule: &'a Value, path: &str) {
        let fields = rule.get("properties").and_then(Value::as_object);
        for (key, span, value) in entries {
            let below = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let field = fields.and_then(|fields| fields.get(key));
            match field.or(rule.get("additionalProperties").filter(|rule| rule.is_object())) {
                Some(rule) => self.node(value, rule, below),
                None => {
                    let mut diagnostic = Diagnostic::at(*span, format!("unknown field `{key}`"));
                    let known = || fields.into_iter().flat_map(Map::keys).map(String::as_str);
                    let all = || format!("the fields here are {}", known().collect::<Vec<_>>().join(", "));
                    let is_container = fields.is_some_and(|fields| fields.contains_key("binds"));
                    let help = counterpart(key).filter(|_| is_container).map(str::to_owned);
                    // Similar names take time to find, and no more diagnostics are shown.
                    if self.diagnostics.len() < super::MAX_DIAGNOSTICS {
                        diagnostic = diagnostic.help(help.or(nearest(key, known())).unwrap_or_else(all));
                    }
                    self.diagnostics.push(diagnostic);
                }
            }
        }
        for name in rule.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !entries.iter().any(|(key, _, _)| key == name) {
                let message = format!("`{name}` is missing");
                self.diagnostics.push(Diagnostic::at(node.span, message));
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, path: &str, types: &[&str]) {
        let names = types.iter().map(|name| match *name {
            "array" => "a list",
            "object" => "a mapping",
            "boolean" => "true or false",
            "integer" => "an integer",
            _ => "a string",
        });
        let wanted: Vec<_> = names.collect();
        let message = format!(
            "{} must be {}, not {}",
            shown(path),
            wanted.join(" or "),
            node.kind.name()
        );
        let mut diagnostic = Diagnostic::at(node.span, message);
        let help = match (&node.kind, types) {
            (Kind::Int(_), ["string"]) if path.ends_with("].mode") => Some("write octal digits in quotes: \"0644\""),
            (Kind::Bool(_) | Kind::Int(_) | Kind::Float(_), ["string"]) => Some("put it in quotes"),
            (Kind::Float(_), _) if types.contains(&"integer") => Some("write an integer as digits only, such as 1000"),
            (Kind::Null, _) => Some("give it a value, or leave the key out"),
            _ => None,
        };
        diagnostic.help.extend(help.map(str::to_owned));
        self.diagnostics.push(diagnostic);
    }
}

/// Returns the remedy for a field of another tool, such as Docker Compose.
fn counterpart(key: &str) -> Option<&'static str> {
    Some(match key {
        "ports" | "expose" => {
            "containers share the host's network by default: no port is published. `moby run --publish` forwards ports \
             of QEMU"
        }
        "volumes" => "bind directories with `binds: [\"/path:/path\"]`, or volumes with `binds: [\"NAME:/path\"]`",
        "environment" | "env_file" => "use `env: [\"NAME=VALUE\"]`",
        "depends_on" => "onboot containers run in their order, before all services; services start together",
        "entrypoint" => "use `command:`, which replaces entrypoint and command",
        "working_dir" => "use `cwd:`",
        "user" => "use `uid:` and `gid:`",
        "cap_add" => "use `capabilities.add:`",
        "cap_drop" => "list the capabilities to keep in `capabilities:`",
        "network_mode" | "networks" => "use `net:`, with `host`, `new`, `none` or the path of a namespace",
        "privileged" => "use `capabilities: [all]`",
        "read_only" => "use `readonly:`",
        "build" => "write `image: \"@pkg:DIR\"` for a package, or build the image with another tool first",
        "ulimits" => "use `rlimits: [\"nofile,1024,4096\"]`",
        "container_name" => "use `name:`",
        "restart" => "only services have a restart policy",
        _ => return None,
    })
}

fn shown(path: &str) -> String {
    match path {
        "" => "the file".into(),
        path => format!("`{path}`"),
    }
}
