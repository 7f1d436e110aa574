//! OCI runtime configuration of a container: YAML over label over image configuration
//! (OCI Runtime Specification 1.2.1, and LinuxKit's rules for what replaces what).

mod capabilities;
mod json;
mod mounts;
mod resources;

use std::collections::BTreeMap;

use oci_spec::image::ImageConfiguration;
use serde_json::{Map, Value, json};

use crate::config::{ContainerConfig, Id, Mount, Restart, Runtime};
use crate::diagnostic::{Diagnostic, nearest};
pub use json::to_bytes;
pub use resources::ordered;

/// Version of the specification that is written.
const VERSION: &str = "1.2.1";

/// IDs of containers by name.
pub type Ids = BTreeMap<String, u32>;

/// Configuration of a container.
#[derive(Clone, Debug)]
pub struct Spec {
    /// `config.json`.
    pub config: Value,
    /// Mounts of `config`.
    pub mounts: Vec<Mount>,
    /// Setup of the container by the init.
    pub runtime: Runtime,
    /// Read-only root filesystem.
    pub readonly: bool,
}

/// Returns the number of an owner, 0 by default.
///
/// # Errors
/// A name that no container has, or a number of more than 32 bits.
pub fn id(id: Option<&Id>, field: &str, ids: &Ids) -> Result<u32, Diagnostic> {
    match id {
        None => Ok(0),
        Some(Id::Number(number)) => u32::try_from(*number).map_err(|_| {
            Diagnostic::field(
                field,
                format!("{field} {number} is out of range: expected 0 to 4294967295"),
            )
        }),
        Some(Id::Name(name)) if name.is_empty() || name == "root" => Ok(0),
        Some(Id::Name(name)) => ids.get(name).copied().ok_or_else(|| {
            let help = match name.parse::<u32>() {
                Ok(number) => format!("remove the quotes to use the number {number}"),
                Err(_) => nearest(name, ids.keys().map(String::as_str))
                    .unwrap_or_else(|| "use a number, root, or the name of a container".into()),
            };
            Diagnostic::field(field, format!("unknown user or group {name:?}")).help(help)
        }),
    }
}

/// Composes the configuration from the YAML, the label and the image's configuration.
///
/// # Errors
/// Every field whose value cannot be used.
pub fn compose(
    yaml: &ContainerConfig,
    label: &ContainerConfig,
    image: &ImageConfiguration,
    ids: &Ids,
) -> Result<Spec, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let image = image.config().clone().unwrap_or_default();
    let mut command = image.entrypoint().clone().unwrap_or_default();
    command.extend(image.cmd().clone().unwrap_or_default());
    let args = yaml_or_label(&yaml.command, &label.command).unwrap_or(command);
    let env = yaml_or_label(&yaml.env, &label.env).unwrap_or_else(|| image.env().clone().unwrap_or_default());
    let working = image.working_dir().clone().unwrap_or_default();
    let cwd = first_non_empty([&yaml.cwd, &label.cwd, &working]).unwrap_or("/");
    errors.extend(check_cwd(cwd));
    errors.extend(check_env(yaml.env.as_deref().unwrap_or_default()));
    let readonly = yaml_or_label(&yaml.readonly, &label.readonly).unwrap_or(false);
    let more_gids = yaml_or_label(&yaml.additional_gids, &label.additional_gids).unwrap_or_default();
    let mut owner = |given: Option<&Id>, field: &str| {
        id(given, field, ids).unwrap_or_else(|error| {
            errors.push(error);
            0
        })
    };
    let more_gids: Vec<u32> = more_gids
        .iter()
        .enumerate()
        .map(|(at, gid)| owner(Some(gid), &format!("additionalGids[{at}]")))
        .collect();
    let mut user = Map::new();
    user.insert(
        "uid".into(),
        json!(owner(yaml.uid.as_ref().or(label.uid.as_ref()), "uid")),
    );
    user.insert(
        "gid".into(),
        json!(owner(yaml.gid.as_ref().or(label.gid.as_ref()), "gid")),
    );
    put(&mut user, "additionalGids", more_gids);

    let mut process = Map::new();
    process.insert("user".into(), Value::Object(user));
    put(&mut process, "args", args);
    put(&mut process, "env", env);
    process.insert("cwd".into(), json!(cwd));
    process.insert("capabilities".into(), capabilities::compose(yaml, label, &mut errors));
    put(
        &mut process,
        "rlimits",
        resources::rlimits(
            &items("rlimits", yaml.rlimits.as_ref().or(label.rlimits.as_ref())),
            &mut errors,
        ),
    );
    if yaml_or_label(&yaml.no_new_privileges, &label.no_new_privileges).unwrap_or(false) {
        process.insert("noNewPrivileges".into(), json!(true));
    }
    if let Some(adjustment) = yaml_or_label(&yaml.oom_score_adj, &label.oom_score_adj) {
        process.insert("oomScoreAdj".into(), json!(adjustment));
    }

    let mut root = json!({"path": "rootfs"});
    if readonly {
        root = json!({"path": "rootfs", "readonly": true});
    }
    let (rules, devices) = resources::compose(yaml, label, &mut errors);
    let mut linux = Map::new();
    put(
        &mut linux,
        "uidMappings",
        yaml_or_label(&yaml.uid_mappings, &label.uid_mappings).unwrap_or_default(),
    );
    put(
        &mut linux,
        "gidMappings",
        yaml_or_label(&yaml.gid_mappings, &label.gid_mappings).unwrap_or_default(),
    );
    put(
        &mut linux,
        "sysctl",
        yaml_or_label(&yaml.sysctl, &label.sysctl).unwrap_or_default(),
    );
    linux.insert("resources".into(), rules);
    put(
        &mut linux,
        "cgroupsPath",
        yaml_or_label(&yaml.cgroups_path, &label.cgroups_path).unwrap_or_default(),
    );
    linux.insert("namespaces".into(), namespaces(yaml, label, &mut errors));
    put(&mut linux, "devices", devices);
    let propagation = yaml_or_label(&yaml.rootfs_propagation, &label.rootfs_propagation);
    put(&mut linux, "rootfsPropagation", propagation.unwrap_or_default());
    put(
        &mut linux,
        "maskedPaths",
        yaml_or_label(&yaml.masked_paths, &label.masked_paths).unwrap_or_default(),
    );
    put(
        &mut linux,
        "readonlyPaths",
        yaml_or_label(&yaml.readonly_paths, &label.readonly_paths).unwrap_or_default(),
    );

    let mut config = Map::new();
    config.insert("ociVersion".into(), json!(VERSION));
    config.insert("process".into(), Value::Object(process));
    config.insert("root".into(), root);
    put(
        &mut config,
        "hostname",
        first_non_empty([&yaml.hostname, &label.hostname]).unwrap_or_default(),
    );
    let mounts = mounts::compose(yaml, label, readonly, &mut errors);
    put(&mut config, "mounts", &mounts);
    put(
        &mut config,
        "annotations",
        yaml_or_label(&yaml.annotations, &label.annotations).unwrap_or_default(),
    );
    config.insert("linux".into(), Value::Object(linux));
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Spec {
        config: Value::Object(config),
        mounts,
        runtime: runtime(yaml.runtime.as_ref(), label.runtime.as_ref()),
        readonly,
    })
}

/// Returns `runtime.json`: the mounts that make the root filesystem, then those of the configuration.
/// LinuxKit's init ignores `restart`, which is not written unless it is given.
pub fn runtime_json(first: Vec<Mount>, runtime: &Runtime, restart: Option<Restart>) -> Value {
    let mut mounts = first;
    mounts.extend(runtime.mounts.clone().unwrap_or_default());
    let path = |path: &Option<String>| path.clone().unwrap_or_default();
    let bind = &runtime.bind_ns;
    let mut all = json!({
        "cgroups": runtime.cgroups.clone().unwrap_or_default(),
        "mounts": mounts,
        "mkdir": runtime.mkdir.clone().unwrap_or_default(),
        "interfaces": runtime.interfaces.clone().unwrap_or_default(),
        "bindNS": {
            "cgroup": path(&bind.cgroup), "ipc": path(&bind.ipc), "mnt": path(&bind.mnt), "net": path(&bind.net),
            "pid": path(&bind.pid), "user": path(&bind.user), "uts": path(&bind.uts),
        },
        "namespace": path(&runtime.namespace),
    });
    if let (Some(restart), Value::Object(fields)) = (restart, &mut all) {
        fields.insert("restart".into(), json!(restart));
    }
    all
}

fn runtime(yaml: Option<&Runtime>, label: Option<&Runtime>) -> Runtime {
    let (yaml, label) = (yaml.cloned().unwrap_or_default(), label.cloned().unwrap_or_default());
    let (bind, other) = (yaml.bind_ns, label.bind_ns);
    Runtime {
        cgroups: yaml.cgroups.or(label.cgroups),
        mounts: yaml.mounts.or(label.mounts),
        mkdir: yaml.mkdir.or(label.mkdir),
        interfaces: yaml.interfaces.or(label.interfaces),
        bind_ns: crate::config::Namespaces {
            cgroup: bind.cgroup.or(other.cgroup),
            ipc: bind.ipc.or(other.ipc),
            mnt: bind.mnt.or(other.mnt),
            net: bind.net.or(other.net),
            pid: bind.pid.or(other.pid),
            user: bind.user.or(other.user),
            uts: bind.uts.or(other.uts),
        },
        namespace: yaml.namespace.or(label.namespace),
    }
}

/// Checks a working directory. A relative one is passed on, as LinuxKit does.
fn check_cwd(cwd: &str) -> Option<Diagnostic> {
    let parts = || cwd.split('/').filter(|part| !part.is_empty() && *part != ".");
    if parts().all(|part| part != "..") {
        return None;
    }
    let mut inside = Vec::new();
    for part in parts() {
        match part {
            ".." => drop(inside.pop()),
            part => inside.push(part),
        }
    }
    let message = format!("the working directory {cwd:?} has a `..` component");
    Some(Diagnostic::field("cwd", message).help(format!("set `cwd: /{}`", inside.join("/"))))
}

/// Checks environment variables of the YAML.
fn check_env(env: &[String]) -> impl Iterator<Item = Diagnostic> {
    let invalid = env
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.find('=').is_none_or(|at| at == 0));
    invalid.map(|(at, entry)| {
        let message = format!("the environment variable {entry:?} has no name and value");
        let name = entry.trim_matches('=');
        Diagnostic::field(format!("env[{at}]"), message).help(format!(
            "write it as `{}=VALUE`",
            if name.is_empty() { "NAME" } else { name }
        ))
    })
}

/// Composes the namespaces. Network, IPC, UTS and user namespaces are the host's by default, the PID
/// namespace is new by default, and the mount namespace is always new.
fn namespaces(yaml: &ContainerConfig, label: &ContainerConfig, errors: &mut Vec<Diagnostic>) -> Value {
    let mut list = Vec::new();
    for (kind, field, value) in [
        (
            "network",
            "net",
            first_non_empty([&yaml.net, &label.net]).unwrap_or("root"),
        ),
        ("ipc", "ipc", first_non_empty([&yaml.ipc, &label.ipc]).unwrap_or("root")),
        ("uts", "uts", first_non_empty([&yaml.uts, &label.uts]).unwrap_or("root")),
        ("pid", "pid", first_non_empty([&yaml.pid, &label.pid]).unwrap_or("new")),
        (
            "user",
            "userns",
            first_non_empty([&yaml.userns, &label.userns]).unwrap_or("root"),
        ),
        ("mount", "", "new"),
    ] {
        match value {
            "host" | "root" => {}
            "new" => list.push(json!({"type": kind})),
            "none" if kind == "network" => list.push(json!({"type": kind})),
            path if path.starts_with('/') => list.push(json!({"type": kind, "path": path})),
            other => {
                let known: &[&str] = if kind == "network" {
                    &["host", "new", "none"]
                } else {
                    &["host", "new"]
                };
                let all = || format!("use {}, or the path of a namespace", known.join(", "));
                let help = nearest(other, known.iter().copied()).unwrap_or_else(all);
                errors.push(Diagnostic::field(field, format!("unknown {kind} namespace {other:?}")).help(help));
            }
        }
    }
    Value::Array(list)
}

/// Returns the value of the YAML, even if it is empty, or else of the label.
fn yaml_or_label<T: Clone>(yaml: &Option<T>, label: &Option<T>) -> Option<T> {
    yaml.clone().or_else(|| label.clone())
}

/// Returns the first string that is not empty.
fn first_non_empty<const N: usize>(texts: [&String; N]) -> Option<&str> {
    texts.into_iter().map(String::as_str).find(|text| !text.is_empty())
}

/// Entry of a list of strings, with its path in the YAML.
struct TextItem {
    field: String,
    text: String,
}

/// Lists the items of a field.
fn items(field: &str, list: Option<&Vec<String>>) -> Vec<TextItem> {
    let list = list.into_iter().flatten().enumerate();
    let items = list.map(|(at, text)| TextItem {
        field: format!("{field}[{at}]"),
        text: text.clone(),
    });
    items.collect()
}

/// Lists the items of the YAML's list, or else of the label's list and the YAML's additions.
fn with_additions(
    field: &str,
    list: Option<&Vec<String>>,
    label: Option<&Vec<String>>,
    more: Option<&Vec<String>>,
) -> Vec<TextItem> {
    match list {
        Some(_) => items(field, list),
        None => {
            let mut all = items(field, label);
            all.extend(items(&format!("{field}.add"), more));
            all
        }
    }
}

/// Inserts a value that is not empty.
fn put(object: &mut Map<String, Value>, key: &str, value: impl serde::Serialize) {
    let value = json!(value);
    let empty = match &value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if !empty {
        object.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::parse_label;

    #[test]
    fn advice_leads_to_what_is_right() {
        let ids = Ids::from([("a".to_owned(), 100), ("web".to_owned(), 101)]);
        for (yaml, expected) in [
            ("additionalGids: [\"5\"]", "remove the quotes to use the number 5"),
            ("uid: wep", "did you mean `web`?"),
            ("uid: b", "use a number, root, or the name"),
            ("capabilities: [CHOWN]", "did you mean `CAP_CHOWN`?"),
            ("capabilities: [cap_net_admn]", "did you mean `CAP_NET_ADMIN`?"),
            (
                "capabilities: [all, CAP_CHOWN]",
                "all and none cannot be combined with other capabilities",
            ),
            ("rlimits: [\"nofiles,1,2\"]", "did you mean `nofile`?"),
            ("rlimits: [\"bogus,1,2\"]", "use one of cpu, fsize,"),
        ] {
            let yaml = parse_label(yaml, "yaml").unwrap();
            let composed = compose(&yaml, &ContainerConfig::default(), &ImageConfiguration::default(), &ids);
            let message = composed.unwrap_err().first().unwrap().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn problems_name_the_item_of_a_list() {
        let label = parse_label("{capabilities: [CAP_KILL], binds: [\"/a:/a\"]}", "image").unwrap();
        for (yaml, expected) in [
            ("capabilities: [CAP_KILL, CAP_BOGUS]", "capabilities[1]"),
            ("capabilities.add: [CAP_CHOWN, CAP_BOGUS]", "capabilities.add[1]"),
            ("ambient: [CAP_KILL, CAP_BOGUS]", "ambient[1]"),
            ("rlimits: [\"nofile,1,2\", \"nofile,x,2\"]", "rlimits[1]"),
            (
                "devices: [{path: all, type: b}, {path: /dev/x, mode: x}]",
                "devices[1].mode",
            ),
            ("binds: [\"/a:/a\", \"/b:/b\", /c]", "binds[2]"),
            ("binds.add: [\"/b:/b\", /c]", "binds.add[1]"),
            ("additionalGids: [1, 2, nobody]", "additionalGids[2]"),
            ("tmpfs: [/a, \"/b:c:d\"]", "tmpfs[1]"),
            ("mounts: [{type: proc}, {destination: /x}]", "mounts[1]"),
            ("uid: nobody", "uid"),
        ] {
            let yaml = parse_label(yaml, "yaml").unwrap();
            let composed = compose(&yaml, &label, &ImageConfiguration::default(), &Ids::new());
            assert_eq!(composed.unwrap_err().first().unwrap().field, expected);
        }
    }

    #[test]
    fn every_mistake_is_found() {
        let yaml = "{net: hots, pid: none, cwd: ../app, env: [FOO, A=b, =c], binds: [\"/a:/a:roo\", \"/b:/b:ro\", /c], \
            capabilities: [CAP_BOGUS, CAP_KILL, CAP_WRONG], uid: nobody, rlimits: [\"bogus,1,2\", \"nofile,x,y\"]}";
        let yaml = parse_label(yaml, "yaml").unwrap();
        let label = ContainerConfig::default();
        let errors = compose(&yaml, &label, &ImageConfiguration::default(), &Ids::new()).unwrap_err();
        let mut fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        fields.sort_unstable();
        let expected = [
            "binds[0]",
            "binds[2]",
            "capabilities[0]",
            "capabilities[2]",
            "cwd",
            "env[0]",
            "env[2]",
            "net",
            "pid",
            "rlimits[0]",
            "rlimits[1]",
            "uid",
        ];
        assert_eq!(fields, expected);
        assert!(errors.iter().all(|error| !error.help.is_empty()), "{errors:?}");
    }
}
