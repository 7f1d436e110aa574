//! Containers: their mounts by `runtime.json`, then runc.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount};
use rustix::process::Pid;
use serde_json::Value;

use crate::process::{list, run, start};
use crate::say;

/// Services by the number of their runc.
pub type Services = BTreeMap<i32, String>;

/// Lays a layer in memory over each volume.
pub fn volumes() {
    for folder in list("/containers/volumes") {
        let tmp = format!("{folder}/tmp");
        let data = format!("lowerdir={folder}/lower,upperdir={tmp}/upper,workdir={tmp}/work");
        let made = apply("tmpfs", &tmp, "tmpfs", &[]).and_then(|()| {
            let options: Vec<String> = data.split(',').map(str::to_owned).collect();
            apply("overlay", &format!("{folder}/merged"), "overlay", &options)
        });
        if let Err(error) = made {
            say(&format!("volume {folder}: {error}"));
        }
    }
}

/// Runs the containers of a section, one after the other. One that fails is told of; the
/// others still run.
pub fn run_in_order(section: &str) {
    for folder in list(&format!("/containers/{section}")) {
        let name = name_of(&folder);
        say(&format!("{section} {name}"));
        if !prepare(&folder) {
            continue;
        }
        let id = format!("{section}-{name}");
        match run(runc(&["run", "--bundle", &folder, &id])) {
            Some(0) => {}
            Some(status) => say(&format!("{section} {name} failed: exit status {status}")),
            None => {}
        }
    }
}

/// Starts the services, their output in /var/log.
pub fn start_services() -> Services {
    let mut services = Services::new();
    for folder in list("/containers/services") {
        let name = name_of(&folder);
        say(&format!("service {name}"));
        if !prepare(&folder) {
            continue;
        }
        let log = match fs::File::options()
            .create(true)
            .append(true)
            .open(format!("/var/log/{name}.log"))
        {
            Ok(log) => log,
            Err(error) => {
                say(&format!("/var/log/{name}.log: {error}"));
                continue;
            }
        };
        let mut command = runc(&["run", "--bundle", &folder, &name]);
        if let Ok(copy) = log.try_clone() {
            command.stderr(copy);
        }
        command.stdin(Stdio::null()).stdout(log);
        if let Some(pid) = start(command) {
            services.insert(Pid::as_raw(Some(pid)), name);
        }
    }
    services
}

fn name_of(folder: &str) -> String {
    folder.rsplit('/').next().unwrap_or(folder).to_owned()
}

/// runc, with the PATH that it needs.
pub fn runc(arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/runc");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(arguments);
    command
}

/// Makes the folders and mounts of `runtime.json`.
fn prepare(folder: &str) -> bool {
    let runtime: Value = match fs::read(format!("{folder}/runtime.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(_) => return true,
    };
    let texts = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for group in texts(runtime.get("cgroups")) {
        let _ = fs::create_dir_all(format!("/sys/fs/cgroup/{group}"));
    }
    for path in texts(runtime.get("mkdir")) {
        let _ = fs::create_dir_all(path);
    }
    for entry in runtime.get("mounts").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let (path, kind) = (text("destination"), text("type"));
        if let Err(error) = apply(text("source"), path, kind, &texts(entry.get("options"))) {
            say(&format!("{}: mount {path}: {error}", name_of(folder)));
            return false;
        }
    }
    true
}

/// One mount with its options as in fstab(5).
fn apply(source: &str, path: &str, kind: &str, options: &[String]) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| error.to_string())?;
    let mut flags = MountFlags::empty();
    let mut propagation = None;
    let (mut bind, mut remount) = (kind == "bind", false);
    let mut data = Vec::new();
    for option in options {
        match option.as_str() {
            "bind" | "rbind" => bind = true,
            "remount" => remount = true,
            "ro" => flags |= MountFlags::RDONLY,
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "noatime" => flags |= MountFlags::NOATIME,
            "relatime" => flags |= MountFlags::RELATIME,
            "rw" | "defaults" => {}
            "private" | "rprivate" => propagation = Some(MountPropagationFlags::PRIVATE),
            "shared" | "rshared" => propagation = Some(MountPropagationFlags::SHARED),
            "slave" | "rslave" => propagation = Some(MountPropagationFlags::DOWNSTREAM),
            other => {
                // An overlay's own folders are in its tmpfs, which is empty at first.
                if let Some(folder) = other.strip_prefix("upperdir=").or(other.strip_prefix("workdir=")) {
                    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
                }
                data.push(other);
            }
        }
    }
    let data = CString::new(data.join(",")).map_err(|error| error.to_string())?;
    let mounted = if bind {
        mount_bind_recursive(source, path).and_then(|()| match flags.is_empty() {
            true => Ok(()),
            false => mount_remount(path, flags | MountFlags::BIND, c""),
        })
    } else if remount {
        match propagation {
            Some(_) => Ok(()),
            None => mount_remount(path, flags, data.as_c_str()),
        }
    } else {
        let source = if source.is_empty() { kind } else { source };
        mount(source, path, kind, flags, data.as_c_str())
    };
    let changed = mounted.and_then(|()| propagation.map_or(Ok(()), |propagation| mount_change(path, propagation)));
    changed.map_err(|error| error.to_string())
}
