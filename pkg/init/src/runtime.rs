//! `runtime.json`: what is done for a container before it is created, and between its creation and
//! its start.

use std::fs;
use std::io;

use rustix::mount::{UnmountFlags, mount_bind_recursive, unmount};
use serde_json::Value;

use crate::error::Error;
use crate::restart::Policy;
use crate::{fstab, log, network};

/// Content of a container's `runtime.json`.
pub struct Runtime {
    directory: String,
    json: Value,
}

impl Runtime {
    /// Reads the file of a bundle. Without one there is nothing to do.
    ///
    /// # Errors
    /// A file that cannot be read or is not JSON.
    pub fn read(directory: &str) -> Result<Runtime, Error> {
        let path = format!("{directory}/runtime.json");
        let json = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        let directory = directory.to_owned();
        Ok(Runtime { directory, json })
    }

    /// Makes the mounts, then the directories, which may be on them, and the cgroups.
    ///
    /// # Errors
    /// The first of them that fails.
    pub fn prepare(&self) -> Result<(), Error> {
        for entry in self.list("mounts") {
            let path = self.absolute(text(entry, "destination"));
            let options = entry.get("options").and_then(Value::as_array).into_iter().flatten();
            let options: Vec<String> = options.filter_map(Value::as_str).map(str::to_owned).collect();
            fstab::mount(text(entry, "source"), &path, text(entry, "type"), &options)?;
        }
        let directories = self.list("mkdir").filter_map(Value::as_str);
        let directories = directories.map(|path| self.absolute(path));
        let cgroups = self.list("cgroups").filter_map(Value::as_str);
        let cgroups = cgroups.map(|cgroup| format!("/sys/fs/cgroup/{cgroup}"));
        for path in directories.chain(cgroups) {
            fs::create_dir_all(&path).map_err(Error::file("create", &path))?;
        }
        Ok(())
    }

    /// Returns containerd's namespace of the container, if it is not the usual one.
    pub fn namespace(&self) -> Option<&str> {
        let name = self.json.get("namespace").and_then(Value::as_str);
        name.filter(|name| !name.is_empty())
    }

    /// Returns the restart policy of a service: `always`, the default, or `no`.
    pub fn restart(&self) -> Policy {
        match text(&self.json, "restart") {
            "no" => Policy::No,
            _ => Policy::Always,
        }
    }

    /// Returns whether [`Runtime::attach`] has anything to do.
    pub fn needs_process(&self) -> bool {
        self.list("interfaces").next().is_some() || self.kept_namespaces().next().is_some()
    }

    /// Gives the container with this process its interfaces, and binds its namespaces to files.
    ///
    /// # Errors
    /// The first of them that fails.
    pub fn attach(&self, pid: u32) -> Result<(), Error> {
        for entry in self.list("interfaces") {
            add_interface(entry, pid)?;
        }
        for (kind, path) in self.kept_namespaces() {
            keep_namespace(kind, path, pid)?;
        }
        Ok(())
    }

    /// Types of namespaces, and the files of `bindNS` to which they are bound.
    fn kept_namespaces(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.json.get("bindNS").and_then(Value::as_object).into_iter().flatten();
        names
            .filter_map(|(kind, path)| Some((kind.as_str(), path.as_str()?)))
            .filter(|(_, path)| !path.is_empty())
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.json.get(key).and_then(Value::as_array).into_iter().flatten()
    }

    /// Makes a path absolute. A relative one is in the container's root filesystem.
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/rootfs/{path}", self.directory)
        }
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Creates or moves an interface, as LinuxKit does. The first of a pair goes to the container, and its
/// peer stays; others are created in the container's namespace, or in PID 1's first with
/// `createInRoot`; without `add`, one that exists is moved.
fn add_interface(entry: &Value, pid: u32) -> Result<(), Error> {
    let (name, add, peer) = (text(entry, "name"), text(entry, "add"), text(entry, "peer"));
    let in_root = entry.get("createInRoot").and_then(Value::as_bool).unwrap_or(false);
    let (created, moves) = match (add, peer) {
        ("", "") => (Ok(()), true),
        ("veth", "") => return Err(Error::NoPeer(name.to_owned())),
        ("" | "veth", peer) => (network::add_pair(name, peer), true),
        (kind, _) => (network::add(name, kind, (!in_root).then_some(pid)), in_root),
    };
    let failed = |action| {
        move |source| Error::Interface {
            action,
            name: name.to_owned(),
            source,
        }
    };
    created.map_err(failed("create"))?;
    if moves {
        network::move_to(name, pid).map_err(failed("move"))?;
    }
    log(&format!("added interface {name} to process {pid}"));
    Ok(())
}

/// Binds a namespace of a process to a file.
fn keep_namespace(kind: &str, path: &str, pid: u32) -> Result<(), Error> {
    let namespace = format!("/proc/{pid}/ns/{kind}");
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    // After a restart of the service, the namespace of the run before is mounted there.
    let _ = unmount(path, UnmountFlags::DETACH);
    fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    fs::write(path, b"").map_err(Error::file("create", path))?;
    mount_bind_recursive(&namespace, path).map_err(Error::mount(&namespace, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(json: &str) -> Runtime {
        let directory = "/containers/services/a".to_owned();
        let json = serde_json::from_str(json).unwrap();
        Runtime { directory, json }
    }

    #[test]
    fn services_are_restarted_unless_they_say_no() {
        for (json, policy) in [
            ("{}", Policy::Always),
            (r#"{"restart": "always"}"#, Policy::Always),
            (r#"{"restart": "no"}"#, Policy::No),
        ] {
            assert_eq!(runtime(json).restart(), policy, "{json}");
        }
        assert_eq!(
            Runtime::read("/nowhere").map(|none| none.restart()).unwrap(),
            Policy::Always
        );
    }

    #[test]
    fn relative_paths_are_in_the_container() {
        let runtime = runtime(r#"{"bindNS": {"net": "", "ipc": "/run/ipc"}}"#);
        assert_eq!(runtime.absolute("etc"), "/containers/services/a/rootfs/etc");
        assert_eq!(runtime.absolute("/etc"), "/etc");
        assert!(runtime.kept_namespaces().eq([("ipc", "/run/ipc")]) && runtime.needs_process());
    }
}
