//! Metadata files: the configuration itself, as LinuxKit's encoder writes it.

use serde_json::{Map, Value, json};

use crate::config::Config;

/// Encodes the merged configuration with canonical image names as `yaml` or `json`.
pub fn write(config: &Config, format: &str) -> Vec<u8> {
    let mut value = serde_json::to_value(config.canonical()).unwrap_or_default();
    match format {
        "json" => {
            // Go writes a list that is not there as null.
            for list in value.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
                if list.as_array().is_some_and(Vec::is_empty) {
                    *list = Value::Null;
                }
            }
            order_resources(&mut value);
            super::spec::to_bytes(&value)
        }
        _ => {
            add_go_fields(&mut value);
            yaml(&value).into_bytes()
        }
    }
}

/// Orders resources as in the runtime specification.
fn order_resources(value: &mut Value) {
    each_object(value, &|map| {
        if let Some(resources) = map.get_mut("resources") {
            *resources = super::spec::ordered("", resources);
        }
    });
}

/// Adds the fields that LinuxKit's encoder writes: of types of the runtime specification, for which it
/// has no YAML names, every field, in lower case.
fn add_go_fields(value: &mut Value) {
    let mount = json!({
        "destination": "", "type": "", "source": "", "options": [], "uidmappings": [], "gidmappings": [],
    });
    let mapping = json!({"containerid": 0, "hostid": 0, "size": 0});
    let resources = resources();
    each_object(value, &|map| {
        if map.get("bindNS").and_then(Value::as_object).is_some_and(Map::is_empty) {
            map.shift_remove("bindNS");
        }
        for (key, form) in [("mounts", &mount), ("uidMappings", &mapping), ("gidMappings", &mapping)] {
            if let Some(list) = map.get_mut(key) {
                *list = complete(&json!([form]), list);
            }
        }
        if let Some(given) = map.get_mut("resources") {
            *given = complete(&resources, given);
        }
    });
}

/// Returns every field of `linux.resources` with the value that a missing one has in YAML. Objects and
/// items of lists are templates, and not written when they are missing.
fn resources() -> Value {
    let throttle = json!([{"major": 0, "minor": 0, "rate": 0}]);
    json!({
        "devices": [{"allow": false, "type": "", "major": null, "minor": null, "access": ""}],
        "memory": {
            "limit": null, "reservation": null, "swap": null, "kernel": null, "kerneltcp": null,
            "swappiness": null, "disableoomkiller": null, "usehierarchy": null, "checkbeforeupdate": null,
        },
        "cpu": {
            "shares": null, "quota": null, "burst": null, "period": null, "realtimeruntime": null,
            "realtimeperiod": null, "cpus": "", "mems": "", "idle": null,
        },
        "pids": {"limit": 0},
        "blockio": {
            "weight": null, "leafweight": null, "weightdevice": [{
                "major": 0, "minor": 0, "weight": null, "leafweight": null,
            }],
            "throttlereadbpsdevice": throttle, "throttlewritebpsdevice": throttle,
            "throttlereadiopsdevice": throttle, "throttlewriteiopsdevice": throttle,
        },
        "hugepagelimits": [{"pagesize": "", "limit": 0}],
        "network": {"classid": null, "priorities": [{"name": "", "priority": 0}]},
        "rdma": {},
        "unified": {},
    })
}

/// Returns `given` in the order of `form`, with the values of `form` for missing fields.
fn complete(form: &Value, given: &Value) -> Value {
    match (form, given) {
        (Value::Object(fields), Value::Object(given)) => {
            let field = |(name, form): (&String, &Value)| {
                let given = given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                let value = match (given, form) {
                    (Some((_, given)), form) => complete(form, given),
                    (None, Value::Array(_)) => json!([]),
                    (None, Value::Object(fields)) if !fields.is_empty() => Value::Null,
                    (None, form) => form.clone(),
                };
                (name.clone(), value)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        (Value::Array(forms), Value::Array(items)) => {
            let form = forms.first().unwrap_or(&Value::Null);
            items.iter().map(|item| complete(form, item)).collect()
        }
        (_, given) => given.clone(),
    }
}

/// Changes every object, outer ones first.
fn each_object(value: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        Value::Object(map) => {
            change(map);
            map.values_mut().for_each(|value| each_object(value, change));
        }
        _ => {}
    }
}

/// Encodes YAML in block style, with lists not indented in mappings.
pub fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push_str(&margin);
                }
                let key = if key.contains('\n') {
                    quoted(key)
                } else {
                    scalar(key, indent)
                };
                out.push_str(&key);
                out.push(':');
                // A list stands at the indentation of its key.
                let deeper = if value.is_array() { indent } else { indent + 2 };
                nested(value, deeper, out);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(&margin);
                }
                out.push_str("- ");
                match item {
                    Value::Object(map) if !map.is_empty() => block(item, indent + 2, out),
                    item => {
                        out.push_str(&leaf(item, indent + 2));
                        out.push('\n');
                    }
                }
            }
        }
        other => {
            out.push_str(&leaf(other, indent));
            out.push('\n');
        }
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    let empty = match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if empty {
        out.push(' ');
        out.push_str(&leaf(value, indent));
        out.push('\n');
        return;
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    block(value, indent, out);
}

fn leaf(value: &Value, indent: usize) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Array(_) => "[]".into(),
        Value::Object(_) => "{}".into(),
        Value::String(text) => scalar(text, indent),
        other => other.to_string(),
    }
}

/// Encodes a text: plain if it is read as the same text, else quoted, and several lines as a literal block.
fn scalar(text: &str, indent: usize) -> String {
    let printable = text.chars().all(|c| !unprintable(c) || c == '\n');
    if !printable || reads_as_other(text) {
        return quoted(text);
    }
    if text.contains('\n') {
        let chomp = match text.strip_suffix('\n') {
            None => "-",
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => "+",
            Some(_) => "",
        };
        let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
        let margin = " ".repeat(indent.max(2));
        let lines: Vec<String> = text
            .strip_suffix('\n')
            .unwrap_or(text)
            .split('\n')
            .map(|line| {
                if line.is_empty() {
                    String::new()
                } else {
                    format!("{margin}{line}")
                }
            })
            .collect();
        return format!("|{hint}{chomp}\n{}", lines.join("\n"));
    }
    let first = text.chars().next().unwrap_or_default();
    let second = text.chars().nth(1).unwrap_or(' ');
    let indicator = ",[]{}#&*!|>'\"%@`".contains(first) || ("-?:".contains(first) && second == ' ');
    let unsafe_inside = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    let edges = text.starts_with(' ') || text.ends_with(' ') || text.starts_with("---") || text.starts_with("...");
    if indicator || unsafe_inside || edges {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

/// Encodes a text in double quotes, with escapes for characters that YAML does not allow.
fn quoted(text: &str) -> String {
    let json = Value::String(text.to_owned()).to_string();
    let escape = |c: char| {
        if unprintable(c) {
            format!("\\u{:04x}", c as u32)
        } else {
            c.to_string()
        }
    };
    json.chars().map(escape).collect()
}

/// Returns whether YAML does not allow a character, or only at the start of a file (YAML 1.2.2, 5.1).
fn unprintable(c: char) -> bool {
    c.is_control() || c == '\u{feff}'
}

/// Returns whether some reader takes a plain text for null, a boolean or a number.
fn reads_as_other(text: &str) -> bool {
    let words = [
        "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf", "+.inf",
    ];
    if words.contains(&text.to_lowercase().as_str()) {
        return true;
    }
    let number = text.replace('_', "");
    let digits = number.trim_start_matches(['+', '-']);
    let based = |prefix: &str, radix| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| u64::from_str_radix(rest, radix).is_ok())
    };
    let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    based("0x", 16) || based("0o", 8) || based("0b", 2) || (starts && number.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    const CONFIG: &str = "
services:
- name: a
  image: b
  mounts:
  - {type: tmpfs, destination: /m, options: []}
  uidMappings:
  - {size: 5, containerID: 1, hostID: 2}
  resources:
    cpu: {cpus: \"\", period: 9}
    devices:
    - {access: rw, allow: true}
    memory: {}
    pids: {limit: 3}
";

    /// Output of LinuxKit, except for `hostid`, which is 0 there.
    const YAML: &str = "kernel:
  image: \"\"
init: []
onboot: []
onshutdown: []
services:
- name: a
  image: docker.io/library/b
  mounts:
  - destination: /m
    type: tmpfs
    source: \"\"
    options: []
    uidmappings: []
    gidmappings: []
  resources:
    devices:
    - allow: true
      type: \"\"
      major: null
      minor: null
      access: rw
    memory:
      limit: null
      reservation: null
      swap: null
      kernel: null
      kerneltcp: null
      swappiness: null
      disableoomkiller: null
      usehierarchy: null
      checkbeforeupdate: null
    cpu:
      shares: null
      quota: null
      burst: null
      period: 9
      realtimeruntime: null
      realtimeperiod: null
      cpus: \"\"
      mems: \"\"
      idle: null
    pids:
      limit: 3
    blockio: null
    hugepagelimits: []
    network: null
    rdma: {}
    unified: {}
  uidMappings:
  - containerid: 1
    hostid: 2
    size: 5
files: []
volumes: []
";

    #[test]
    fn every_field_of_the_runtime_specification_in_yaml_and_those_given_in_json() {
        let source = Source {
            name: "m.yml".into(),
            text: CONFIG.into(),
            dir: ".".into(),
        };
        let config = load(&[source]).unwrap();
        assert_eq!(String::from_utf8(write(&config, "yaml")).unwrap(), YAML);
        let json = String::from_utf8(write(&config, "json")).unwrap();
        let json: String = json.split_whitespace().collect();
        let resources = r#""resources":{"devices":[{"allow":true,"access":"rw"}],"memory":{},"cpu":{"period":9},"pids":{"limit":3}}"#;
        assert!(json.contains(resources), "{json}");
        assert!(
            json.contains(r#""mounts":[{"destination":"/m","type":"tmpfs"}]"#),
            "{json}"
        );
    }
}
