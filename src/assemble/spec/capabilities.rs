//! Capabilities (capabilities(7)).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Item, added, items, problem, put};
use crate::config::ImageConfig;
use crate::diagnostic::{Diagnostic, near};

/// All of Linux's, in the order of their numbers (include/uapi/linux/capability.h).
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

/// The five sets of a process: effective and ambient as given, the others all of both.
pub fn compose(yaml: &ImageConfig, label: &ImageConfig) -> Result<Value, Diagnostic> {
    let given = added(
        "capabilities",
        yaml.capabilities.as_ref(),
        label.capabilities.as_ref(),
        yaml.capabilities_add.as_ref(),
    );
    let effective = expand(given)?;
    let ambient = expand(items("ambient", yaml.ambient.as_ref().or(label.ambient.as_ref())))?;
    let bounding: BTreeSet<&String> = effective.iter().chain(&ambient).collect();
    let mut sets = Map::new();
    put(&mut sets, "bounding", &bounding);
    put(&mut sets, "effective", &effective);
    put(&mut sets, "inheritable", &bounding);
    put(&mut sets, "permitted", &bounding);
    put(&mut sets, "ambient", &ambient);
    Ok(Value::Object(sets))
}

fn expand(list: Vec<Item>) -> Result<Vec<String>, Diagnostic> {
    if let [one] = list.as_slice() {
        match one.text.to_lowercase().as_str() {
            "none" => return Ok(Vec::new()),
            "all" => return Ok(ALL.iter().map(|name| (*name).to_owned()).collect()),
            _ => {}
        }
    }
    for Item { field, text: name } in &list {
        if !ALL.contains(&name.as_str()) {
            let upper = name.to_uppercase();
            // What all have in common makes no two alike.
            let own = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let known = ALL.iter().filter_map(|name| name.strip_prefix("CAP_"));
            let help = match near(own, known).filter(|_| !["ALL", "NONE"].contains(&own)) {
                Some(meant) => format!("did you mean `CAP_{meant}`?"),
                None => "capabilities are written as CAP_NET_ADMIN; all and none stand alone".into(),
            };
            return Err(problem(field, format!("unknown capability: {name}\nhelp: {help}")));
        }
    }
    Ok(list.into_iter().map(|item| item.text).collect())
}
