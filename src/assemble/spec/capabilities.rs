//! Capabilities (capabilities(7)).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{TextItem, items, put, with_additions};
use crate::config::ContainerConfig;
use crate::diagnostic::{Diagnostic, near};

/// All capabilities of Linux, in the order of their numbers (include/uapi/linux/capability.h).
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Composes the five sets of a process: effective and ambient as given, the others from both.
pub fn compose(yaml: &ContainerConfig, label: &ContainerConfig, errors: &mut Vec<Diagnostic>) -> Value {
    let given = with_additions(
        "capabilities",
        yaml.capabilities.as_ref(),
        label.capabilities.as_ref(),
        yaml.capabilities_add.as_ref(),
    );
    let effective = expand(given, errors);
    let ambient = items("ambient", yaml.ambient.as_ref().or(label.ambient.as_ref()));
    let ambient = expand(ambient, errors);
    let bounding: BTreeSet<&String> = effective.iter().chain(&ambient).collect();
    let mut sets = Map::new();
    put(&mut sets, "bounding", &bounding);
    put(&mut sets, "effective", &effective);
    put(&mut sets, "inheritable", &bounding);
    put(&mut sets, "permitted", &bounding);
    put(&mut sets, "ambient", &ambient);
    Value::Object(sets)
}

fn expand(list: Vec<TextItem>, errors: &mut Vec<Diagnostic>) -> Vec<String> {
    if let [one] = list.as_slice() {
        match one.text.to_lowercase().as_str() {
            "none" => return Vec::new(),
            "all" => return ALL.iter().map(|name| (*name).to_owned()).collect(),
            _ => {}
        }
    }
    for TextItem { field, text: name } in &list {
        if !ALL.contains(&name.as_str()) {
            let upper = name.to_uppercase();
            // The common prefix would make all names similar.
            let own = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let known = ALL.iter().filter_map(|name| name.strip_prefix("CAP_"));
            let help = match near(own, known).filter(|_| !["ALL", "NONE"].contains(&own)) {
                Some(meant) => format!("did you mean `CAP_{meant}`?"),
                None => {
                    "capabilities are written as CAP_NET_ADMIN; all and none cannot be combined with other capabilities"
                        .into()
                }
            };
            errors.push(Diagnostic::field(field, format!("unknown capability: {name}")).help(help));
        }
    }
    list.into_iter().map(|item| item.text).collect()
}
