//! Limits and devices of a container.

use serde_json::{Map, Value, json};

use super::{TextItem, yaml_or_label};
use crate::config::ContainerConfig;
use crate::diagnostic::{Diagnostic, nearest};

const LIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// Objects of the runtime specification's `linux.resources` with their fields in order.
const ORDER: [(&str, &[&str]); 8] = [
    (
        "",
        &[
            "devices",
            "memory",
            "cpu",
            "pids",
            "blockIO",
            "hugepageLimits",
            "network",
        ],
    ),
    (
        "memory",
        &[
            "limit",
            "reservation",
            "swap",
            "kernel",
            "kernelTCP",
            "swappiness",
            "disableOOMKiller",
        ],
    ),
    (
        "cpu",
        &[
            "shares",
            "quota",
            "period",
            "realtimeRuntime",
            "realtimePeriod",
            "cpus",
            "mems",
        ],
    ),
    ("pids", &["limit"]),
    (
        "blockIO",
        &[
            "weight",
            "leafWeight",
            "weightDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        ],
    ),
    ("hugepageLimits", &["pageSize", "limit"]),
    ("network", &["classID", "priorities"]),
    ("devices", &["allow", "type", "major", "minor", "access"]),
];

/// Parses limits of the form `name,soft,hard`.
pub fn rlimits(list: &[TextItem], errors: &mut Vec<Diagnostic>) -> Vec<Value> {
    let limits = list
        .iter()
        .filter_map(|item| rlimit(item).map_err(|error| errors.push(error)).ok());
    limits.collect()
}

fn rlimit(TextItem { field, text }: &TextItem) -> Result<Value, Diagnostic> {
    let parts: Vec<&str> = text.splitn(3, ',').map(str::trim).collect();
    let [name, soft, hard] = parts.as_slice() else {
        let message = format!("cannot parse rlimit: {text}");
        return Err(Diagnostic::field(field, message).help("write it as nofile,1024,4096"));
    };
    let mut name = name.to_uppercase();
    if !name.starts_with("RLIMIT_") {
        name.insert_str(0, "RLIMIT_");
    }
    if !LIMITS.contains(&name.as_str()) {
        let own = name.trim_start_matches("RLIMIT_").to_lowercase();
        let known: Vec<String> = LIMITS
            .iter()
            .map(|limit| limit.trim_start_matches("RLIMIT_").to_lowercase())
            .collect();
        let help = nearest(&own, known.iter().map(String::as_str));
        let help = help.unwrap_or_else(|| format!("use one of {}", known.join(", ")));
        return Err(Diagnostic::field(field, format!("unknown limit: {name}")).help(help));
    }
    let number = |text: &str| match text.to_lowercase().as_str() {
        "unlimited" => Ok(u64::MAX),
        number => number.parse().map_err(|_| {
            let message = format!("cannot parse {text} as a limit");
            Diagnostic::field(field, message).help("use a number, or unlimited")
        }),
    };
    Ok(json!({"type": name, "hard": number(hard)?, "soft": number(soft)?}))
}

/// Composes `linux.resources` with the rules for the devices, and `linux.devices`.
pub fn compose(yaml: &ContainerConfig, label: &ContainerConfig, errors: &mut Vec<Diagnostic>) -> (Value, Vec<Value>) {
    let given = yaml_or_label(&yaml.resources, &label.resources).unwrap_or_default();
    let mut rules = ordered("", &given);
    let mut nodes = Vec::new();
    let mut allowed = Vec::new();
    let given = yaml_or_label(&yaml.devices, &label.devices).unwrap_or_default();
    for (at, device) in given.into_iter().enumerate() {
        if device.path == "all" {
            allowed.push(json!({"allow": true, "type": device.kind, "access": "rwm"}));
            continue;
        }
        let Ok(mode) = u32::from_str_radix(&device.mode, 8) else {
            let message = format!(
                "cannot parse the mode {:?} of device {} as octal",
                device.mode, device.path
            );
            errors.push(Diagnostic::field(format!("devices[{at}].mode"), message).help("write it as \"0600\""));
            continue;
        };
        let (kind, major, minor) = (&device.kind, device.major, device.minor);
        nodes.push(json!({
            "path": device.path, "type": kind, "major": major, "minor": minor, "fileMode": mode,
        }));
        allowed.push(json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": "rwm"}));
    }
    if !allowed.is_empty()
        && let Value::Object(rules) = &mut rules
    {
        let mut list = rules
            .get("devices")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        list.extend(allowed);
        let mut all = Map::new();
        all.insert("devices".into(), Value::Array(list));
        rules.shift_remove("devices");
        all.append(rules);
        *rules = all;
    }
    (rules, nodes)
}

/// Returns an object with the specification's names and order of fields.
pub fn ordered(name: &str, given: &Value) -> Value {
    let order = ORDER
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, fields)| *fields);
    match (given, order) {
        (Value::Array(items), _) => items.iter().map(|item| ordered(name, item)).collect(),
        (Value::Object(fields), Some(order)) => {
            let mut object = Map::new();
            for key in order {
                let value = fields.get(*key).or_else(|| fields.get(&key.to_lowercase()));
                match (*key, value) {
                    ("pageSize", Some(Value::Number(bytes))) => {
                        object.insert((*key).into(), json!(page_size(bytes.as_u64().unwrap_or(0))));
                    }
                    // The specification has no empty strings and lists.
                    (_, Some(value)) if *value == json!("") || *value == json!([]) => {}
                    (_, Some(value)) => {
                        object.insert((*key).into(), ordered(key, value));
                    }
                    _ => {}
                }
            }
            Value::Object(object)
        }
        (Value::Null, Some(_)) => Value::Object(Map::new()),
        (other, _) => other.clone(),
    }
}

/// Returns a huge page size as the kernel names it, such as "2MB".
fn page_size(bytes: u64) -> String {
    for (unit, shift) in [("GB", 30), ("MB", 20), ("KB", 10)] {
        if bytes >> shift > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}
