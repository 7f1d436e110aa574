//! The mounts of a container: the usual ones, then tmpfs, binds and mounts over them, each
//! destination once.

use std::collections::BTreeMap;

use super::{Item, added, first, items, problem};
use crate::config::{ImageConfig, Mount};
use crate::diagnostic::Diagnostic;

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

/// All mounts by destination.
pub fn compose(yaml: &ImageConfig, label: &ImageConfig, readonly: bool) -> Result<Vec<Mount>, Diagnostic> {
    let ro = if readonly { ",ro" } else { "" };
    let mut mounts = BTreeMap::new();
    let mut add = |mount: Mount| mounts.insert(mount.destination.clone(), mount);
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
    for Item { field, text } in items("tmpfs", yaml.tmpfs.as_ref().or(label.tmpfs.as_ref())) {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [path] => add(mount(path, "tmpfs", "tmpfs", Vec::new())),
            [path, given] => add(mount(path, "tmpfs", "tmpfs", options(given))),
            _ => return Err(problem(field, format!("cannot parse tmpfs, too many ':': {text}"))),
        };
    }
    let binds = added(
        "binds",
        yaml.binds.as_ref(),
        label.binds.as_ref(),
        yaml.binds_add.as_ref(),
    );
    for Item { field, text } in binds {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [_] => return Err(problem(field, format!("cannot parse bind, missing ':': {text}"))),
            [source, path] => add(mount(path, "bind", source, options("rw,rbind,rshared"))),
            [source, path, given] => {
                let mut given = options(given);
                given.push("rbind".into());
                add(mount(path, "bind", source, given))
            }
            _ => return Err(problem(field, format!("cannot parse bind, too many ':': {text}"))),
        };
    }
    let given = first(&yaml.mounts, &label.mounts).unwrap_or_default();
    for (at, mut mount) in given.into_iter().enumerate() {
        let field = format!("mounts[{at}]");
        if mount.kind.is_empty() {
            let path = &mount.destination;
            mount.kind = match mount.source.as_str() {
                known @ ("mqueue" | "devpts" | "proc" | "sysfs" | "cgroup") => known.to_owned(),
                _ if path == "/dev" => "tmpfs".to_owned(),
                _ => {
                    return Err(problem(field, format!("mount for destination {path} is missing type")));
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
                kind => return Err(problem(field, format!("mount type {kind} is missing destination"))),
            }
            .to_owned();
        }
        mount.options = mount.options.filter(|options| !options.is_empty());
        add(mount);
    }
    Ok(mounts.into_values().collect())
}
