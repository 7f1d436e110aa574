//! Mounts of a container: the default mounts, then tmpfs, binds and mounts; the last of a destination
//! counts.

use std::collections::BTreeMap;

use super::{TextItem, items, with_additions, yaml_or_label};
use crate::config::{ContainerConfig, Mount};
use crate::diagnostic::{Diagnostic, nearest};

/// Options of bind mounts (mount(8), "Filesystem-independent mount options"; runc's recursive ones).
const BIND_OPTIONS: [&str; 42] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "relatime",
    "remount",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnosuid",
    "ro",
    "rprivate",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "sync",
    "unbindable",
    "idmap",
    "ridmap",
];

fn mount(destination: &str, kind: &str, source: &str, options: Vec<String>) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: (!options.is_empty()).then_some(options),
        ..Mount::default()
    }
}

fn options(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// Composes the mounts, sorted by destination.
pub fn compose(
    yaml: &ContainerConfig,
    label: &ContainerConfig,
    readonly: bool,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Mount> {
    let ro = if readonly { ",ro" } else { "" };
    let mut mounts = BTreeMap::new();
    let mut add = |mount: Mount| drop(mounts.insert(mount.destination.clone(), mount));
    add(mount("/proc", "proc", "proc", options("nosuid,nodev,noexec,relatime")));
    let dev = format!("nosuid,strictatime,mode=755,size=65536k{ro}");
    add(mount("/dev", "tmpfs", "tmpfs", options(&dev)));
    let pts = "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620";
    add(mount("/dev/pts", "devpts", "devpts", options(pts)));
    add(mount(
        "/sys",
        "sysfs",
        "sysfs",
        options(&format!("nosuid,noexec,nodev{ro}")),
    ));
    add(mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        options("nosuid,noexec,nodev,relatime,ro"),
    ));
    for TextItem { field, text } in items("tmpfs", yaml.tmpfs.as_ref().or(label.tmpfs.as_ref())) {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [path] => add(mount(path, "tmpfs", "tmpfs", Vec::new())),
            [path, given] => add(mount(path, "tmpfs", "tmpfs", options(given))),
            _ => {
                let message = format!("cannot parse tmpfs, too many ':': {text}");
                errors.push(Diagnostic::field(field, message).help("write it as /path:option,option"));
            }
        }
    }
    let binds = with_additions(
        "binds",
        yaml.binds.as_ref(),
        label.binds.as_ref(),
        yaml.binds_add.as_ref(),
    );
    for TextItem { field, text } in binds {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [_] => {
                let message = format!("cannot parse bind, missing ':': {text}");
                errors.push(Diagnostic::field(field, message).help("write it as SOURCE:DESTINATION"));
            }
            [source, path] => add(mount(path, "bind", source, options("rw,rbind,rshared"))),
            [source, path, given] => {
                let mut given = options(given);
                errors.extend(unknown_option(&field, &given));
                given.push("rbind".into());
                add(mount(path, "bind", source, given));
            }
            _ => {
                let message = format!("cannot parse bind, too many ':': {text}");
                errors.push(Diagnostic::field(field, message).help("write it as SOURCE:DESTINATION:option,option"));
            }
        }
    }
    let given = yaml_or_label(&yaml.mounts, &label.mounts).unwrap_or_default();
    for (at, mut mount) in given.into_iter().enumerate() {
        let field = format!("mounts[{at}]");
        if mount.kind.is_empty() {
            let path = &mount.destination;
            mount.kind = match mount.source.as_str() {
                known @ ("mqueue" | "devpts" | "proc" | "sysfs" | "cgroup") => known.to_owned(),
                _ if path == "/dev" => "tmpfs".to_owned(),
                _ => {
                    let message = format!("mount for destination {path} is missing type");
                    errors
                        .push(Diagnostic::field(field, message).help("add `type: bind`, or the type of a filesystem"));
                    continue;
                }
            };
        }
        if mount.source.is_empty() {
            mount.source.clone_from(&mount.kind);
        }
        if mount.destination.is_empty() {
            mount.destination = match mount.kind.as_str() {
                "proc" => "/proc",
                "devpts" => "/dev/pts",
                "sysfs" => "/sys",
                "cgroup" => "/sys/fs/cgroup",
                "mqueue" => "/dev/mqueue",
                kind => {
                    let message = format!("mount type {kind} is missing destination");
                    errors.push(Diagnostic::field(field, message).help("add `destination:`"));
                    continue;
                }
            }
            .to_owned();
        }
        mount.options = mount.options.filter(|options| !options.is_empty());
        add(mount);
    }
    mounts.into_values().collect()
}

/// Finds an option that bind mounts do not have.
fn unknown_option(field: &str, options: &[String]) -> Option<Diagnostic> {
    let known = || BIND_OPTIONS.into_iter();
    let unknown = options
        .iter()
        .find(|option| !known().any(|known| known == option.as_str()))?;
    let help = match unknown.as_str() {
        "z" | "Z" => "leave it out: there are no SELinux labels".to_owned(),
        other => nearest(other, known()).unwrap_or_else(|| "use ro, rw, nosuid, nodev, noexec, rshared, ...".into()),
    };
    Some(Diagnostic::field(field, format!("unknown option of a bind mount: {unknown}")).help(help))
}
