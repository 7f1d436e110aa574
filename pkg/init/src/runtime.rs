//! `runtime.json`: what is done for a container before it is made, and between its making and
//! its start.

use std::ffi::CString;
use std::fs;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount};
use serde_json::Value;

use crate::{network, say};

/// A container's `runtime.json`.
pub struct Runtime {
    folder: String,
    json: Value,
}

impl Runtime {
    /// Reads it; one that is not there asks for nothing.
    pub fn read(folder: &str) -> Result<Runtime, String> {
        let path = format!("{folder}/runtime.json");
        let json = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("{path}: {error}"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(format!("{path}: {error}")),
        };
        let folder = folder.to_owned();
        Ok(Runtime { folder, json })
    }

    /// Makes the mounts, then the folders, which may be within, and the control groups.
    pub fn prepare(&self) -> Result<(), String> {
        for entry in self.list("mounts") {
            let path = self.absolute(text(entry, "destination"));
            let options = entry.get("options").and_then(Value::as_array).into_iter().flatten();
            let options: Vec<String> = options.filter_map(Value::as_str).map(str::to_owned).collect();
            apply(text(entry, "source"), &path, text(entry, "type"), &options)
                .map_err(|error| format!("mount {path}: {error}"))?;
        }
        for path in self.list("mkdir").filter_map(Value::as_str) {
            let path = self.absolute(path);
            fs::create_dir_all(&path).map_err(|error| format!("mkdir {path}: {error}"))?;
        }
        for group in self.list("cgroups").filter_map(Value::as_str) {
            let path = format!("/sys/fs/cgroup/{group}");
            fs::create_dir_all(&path).map_err(|error| format!("cgroup {path}: {error}"))?;
        }
        Ok(())
    }

    /// containerd's namespace for the container, when it is to be another.
    pub fn namespace(&self) -> Option<&str> {
        let name = self.json.get("namespace").and_then(Value::as_str);
        name.filter(|name| !name.is_empty())
    }

    /// Whether something is to be done between making and start.
    pub fn wants_process(&self) -> bool {
        self.list("interfaces").next().is_some() || self.kept().next().is_some()
    }

    /// Gives the container with this process its interfaces, and keeps its namespaces.
    pub fn with_process(&self, pid: u32) -> Result<(), String> {
        for entry in self.list("interfaces") {
            interface(entry, pid)?;
        }
        for (kind, path) in self.kept() {
            keep(kind, path, pid)?;
        }
        Ok(())
    }

    /// The namespaces of `bindNS`, and where they are kept.
    fn kept(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.json.get("bindNS").and_then(Value::as_object).into_iter().flatten();
        names
            .filter_map(|(kind, path)| Some((kind.as_str(), path.as_str()?)))
            .filter(|(_, path)| !path.is_empty())
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.json.get(key).and_then(Value::as_array).into_iter().flatten()
    }

    /// A path that is not absolute is one of the container's root filesystem.
    fn absolute(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("{}/rootfs/{path}", self.folder),
        }
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Makes or moves an interface, as LinuxKit does: a pair's first goes to the container and its
/// peer stays; others are made in the container's namespace, or in the root's first if
/// `createInRoot`; without `add` one that exists is moved.
fn interface(entry: &Value, pid: u32) -> Result<(), String> {
    let (name, add, peer) = (text(entry, "name"), text(entry, "add"), text(entry, "peer"));
    let in_root = entry.get("createInRoot").and_then(Value::as_bool).unwrap_or(false);
    let (made, moved) = match (add, peer) {
        ("", "") => (Ok(()), true),
        ("veth", "") => return Err(format!("interface {name}: veth needs a peer")),
        ("" | "veth", peer) => (network::add_pair(name, peer), true),
        (kind, _) => (network::add(name, kind, (!in_root).then_some(pid)), in_root),
    };
    made.map_err(|error| format!("cannot make interface {name}: {error}"))?;
    if moved {
        network::move_to(name, pid).map_err(|error| format!("cannot move interface {name}: {error}"))?;
    }
    say(&format!("interface {name} for process {pid}"));
    Ok(())
}

/// Keeps a namespace of a process at a path.
fn keep(kind: &str, path: &str, pid: u32) -> Result<(), String> {
    let namespace = format!("/proc/{pid}/ns/{kind}");
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let kept = fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, b""))
        .and_then(|()| Ok(mount_bind_recursive(&namespace, path)?));
    kept.map_err(|error| format!("cannot keep {namespace} as {path}: {error}"))
}

/// One mount with its options as in fstab(5).
pub fn apply(source: &str, path: &str, kind: &str, options: &[String]) -> Result<(), String> {
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
            "nodiratime" => flags |= MountFlags::NODIRATIME,
            "relatime" => flags |= MountFlags::RELATIME,
            "strictatime" => flags |= MountFlags::STRICTATIME,
            "sync" => flags |= MountFlags::SYNCHRONOUS,
            "dirsync" => flags |= MountFlags::DIRSYNC,
            "rw" => flags -= MountFlags::RDONLY,
            "suid" => flags -= MountFlags::NOSUID,
            "dev" => flags -= MountFlags::NODEV,
            "exec" => flags -= MountFlags::NOEXEC,
            "atime" => flags -= MountFlags::NOATIME,
            "diratime" => flags -= MountFlags::NODIRATIME,
            "async" => flags -= MountFlags::SYNCHRONOUS,
            "norelatime" => flags -= MountFlags::RELATIME,
            "nostrictatime" => flags -= MountFlags::STRICTATIME,
            "defaults" => {}
            "private" | "rprivate" => propagation = Some(MountPropagationFlags::PRIVATE),
            "shared" | "rshared" => propagation = Some(MountPropagationFlags::SHARED),
            "slave" | "rslave" => propagation = Some(MountPropagationFlags::DOWNSTREAM),
            "unbindable" | "runbindable" => propagation = Some(MountPropagationFlags::UNBINDABLE),
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
