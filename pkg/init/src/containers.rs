//! Containers: their mounts by `runtime.json`, then runc.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount};
use rustix::process::Pid;
use serde_json::Value;

use crate::process::{list, run, start};
use crate::{containerd, say};

/// Where runc and containerd look for programs.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

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
        match run_to_end(&folder, &id) {
            Some(0) => {}
            Some(status) => say(&format!("{section} {name} failed: exit status {status}")),
            None => {}
        }
    }
}

/// Runs a container; returns its exit status.
fn run_to_end(folder: &str, id: &str) -> Option<i32> {
    if !binds_namespaces(folder) {
        return run(runc(&["run", "--bundle", folder, id]));
    }
    // Its namespaces can be kept between its making and its start only.
    let file = format!("/run/{id}.pid");
    match run(runc(&["create", "--bundle", folder, "--pid-file", &file, id])) {
        Some(0) => {}
        status => return status,
    }
    let pid = fs::read_to_string(&file).ok()?.trim().parse().ok()?;
    if let Err(error) = bind_namespaces(folder, pid) {
        say(&format!("{id}: {error}"));
    }
    let status = match run(runc(&["start", id])) {
        // An orphan of runc's, hence a child of PID 1.
        Some(0) => crate::process::wait_for(Pid::from_raw(pid as i32)?),
        status => status,
    };
    run(runc(&["delete", "--force", id]));
    status
}

/// Starts the services, their output in /var/log: under containerd when it is there, else each
/// under a runc of its own.
pub fn start_services() -> Services {
    let mut services = Services::new();
    let mut folders = list("/containers/services");
    folders.retain(|folder| {
        say(&format!("service {}", name_of(folder)));
        prepare(folder)
    });
    if containerd::is_there() {
        if let Some(pid) = containerd::start_services(folders) {
            services.insert(Pid::as_raw(Some(pid)), "containerd".to_owned());
        }
        return services;
    }
    for folder in folders {
        let name = name_of(&folder);
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

/// What a container is called.
pub fn name_of(folder: &str) -> String {
    folder.rsplit('/').next().unwrap_or(folder).to_owned()
}

/// runc, with the PATH that it needs.
pub fn runc(arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/runc");
    command.env("PATH", PATH).args(arguments);
    command
}

/// A container's `runtime.json`; nothing when there is none.
fn runtime(folder: &str) -> Value {
    let bytes = fs::read(format!("{folder}/runtime.json")).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn binds_namespaces(folder: &str) -> bool {
    let runtime = runtime(folder);
    let names = runtime.get("bindNS").and_then(Value::as_object);
    names.is_some_and(|names| {
        names
            .values()
            .any(|path| path.as_str().is_some_and(|path| !path.is_empty()))
    })
}

/// Keeps the namespaces of a process where `bindNS` of its container's `runtime.json` says.
pub fn bind_namespaces(folder: &str, pid: u32) -> Result<(), String> {
    let runtime = runtime(folder);
    for (kind, path) in runtime.get("bindNS").and_then(Value::as_object).into_iter().flatten() {
        let Some(path) = path.as_str().filter(|path| !path.is_empty()) else {
            continue;
        };
        let namespace = format!("/proc/{pid}/ns/{kind}");
        let bound = match path.rsplit_once('/') {
            Some((parent, _)) => fs::create_dir_all(parent),
            None => Ok(()),
        };
        let bound = bound.and_then(|()| fs::write(path, b""));
        let bound = bound.and_then(|()| Ok(mount_bind_recursive(&namespace, path)?));
        bound.map_err(|error| format!("cannot keep {namespace} as {path}: {error}"))?;
    }
    Ok(())
}

/// Makes the folders and mounts of `runtime.json`.
fn prepare(folder: &str) -> bool {
    let runtime = runtime(folder);
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
