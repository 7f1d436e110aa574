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

/// A mount's options, as in fstab(5).
#[derive(Debug)]
struct Options<'a> {
    flags: MountFlags,
    propagation: Option<MountPropagationFlags>,
    bind: bool,
    remount: bool,
    /// Whether there is anything that a remount changes: propagation is changed by itself.
    any: bool,
    /// What the filesystem takes.
    data: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn of(kind: &str, options: &'a [String]) -> Options<'a> {
        let mut all = Options {
            flags: MountFlags::empty(),
            propagation: None,
            bind: kind == "bind",
            remount: false,
            any: false,
            data: Vec::new(),
        };
        for option in options {
            all.take(option);
        }
        all
    }

    fn take(&mut self, option: &'a str) {
        let flags = &mut self.flags;
        match option {
            "bind" | "rbind" => self.bind = true,
            "remount" => self.remount = true,
            "ro" => *flags |= MountFlags::RDONLY,
            "nosuid" => *flags |= MountFlags::NOSUID,
            "nodev" => *flags |= MountFlags::NODEV,
            "noexec" => *flags |= MountFlags::NOEXEC,
            "noatime" => *flags |= MountFlags::NOATIME,
            "nodiratime" => *flags |= MountFlags::NODIRATIME,
            "relatime" => *flags |= MountFlags::RELATIME,
            "strictatime" => *flags |= MountFlags::STRICTATIME,
            "sync" => *flags |= MountFlags::SYNCHRONOUS,
            "dirsync" => *flags |= MountFlags::DIRSYNC,
            "rw" => *flags -= MountFlags::RDONLY,
            "suid" => *flags -= MountFlags::NOSUID,
            "dev" => *flags -= MountFlags::NODEV,
            "exec" => *flags -= MountFlags::NOEXEC,
            "atime" => *flags -= MountFlags::NOATIME,
            "diratime" => *flags -= MountFlags::NODIRATIME,
            "async" => *flags -= MountFlags::SYNCHRONOUS,
            "norelatime" => *flags -= MountFlags::RELATIME,
            "nostrictatime" => *flags -= MountFlags::STRICTATIME,
            "defaults" => {}
            other => match propagation(other) {
                Some(propagation) => self.propagation = Some(propagation),
                None => self.data.push(other),
            },
        }
        let others = ["bind", "rbind", "remount", "defaults"];
        self.any |= !others.contains(&option) && propagation(option).is_none();
    }
}

/// How mounts below a mount are seen by its peers (mount_namespaces(7)); an `r` means those of
/// all that is mounted below it too.
fn propagation(option: &str) -> Option<MountPropagationFlags> {
    let one = |name: &str| match name {
        "private" => Some(MountPropagationFlags::PRIVATE),
        "shared" => Some(MountPropagationFlags::SHARED),
        "slave" => Some(MountPropagationFlags::DOWNSTREAM),
        "unbindable" => Some(MountPropagationFlags::UNBINDABLE),
        _ => None,
    };
    let all = option.strip_prefix('r').and_then(one);
    one(option).or(all.map(|flags| flags | MountPropagationFlags::REC))
}

/// One mount with its options.
pub fn apply(source: &str, path: &str, kind: &str, options: &[String]) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| error.to_string())?;
    let options = Options::of(kind, options);
    for option in &options.data {
        // An overlay's own folders are in its tmpfs, which is empty at first.
        if let Some(folder) = option.strip_prefix("upperdir=").or(option.strip_prefix("workdir=")) {
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
    }
    let (flags, data) = (options.flags, options.data.join(","));
    let data = CString::new(data).map_err(|error| error.to_string())?;
    let mounted = if options.bind {
        mount_bind_recursive(source, path).and_then(|()| match flags.is_empty() {
            true => Ok(()),
            false => mount_remount(path, flags | MountFlags::BIND, c""),
        })
    } else if options.remount {
        // With nothing but a propagation it would take the flags away that the mount has.
        match options.propagation.is_some() && !options.any {
            true => Ok(()),
            false => mount_remount(path, flags, data.as_c_str()),
        }
    } else {
        let source = if source.is_empty() { kind } else { source };
        mount(source, path, kind, flags, data.as_c_str())
    };
    let change = |propagation| mount_change(path, propagation);
    let changed = mounted.and_then(|()| options.propagation.map_or(Ok(()), change));
    changed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone::is_alone;

    /// The options of a mount point, with what mountinfo says of its propagation (proc(5)): fields
    /// six and seven.
    fn mounted(path: &str) -> (String, String) {
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut lines = text.lines().map(|line| line.split(' ').collect::<Vec<&str>>());
        let line = lines.rfind(|fields| fields[4] == path).unwrap();
        (line[5].to_owned(), line[6].split(':').next().unwrap().to_owned())
    }

    #[test]
    fn mounts_have_all_their_options() {
        // Where mounting is allowed and nobody sees it.
        let through = ["unshare", "--user", "--map-root-user", "--mount"];
        if !is_alone("runtime::tests::mounts_have_all_their_options", &through) {
            return;
        }
        let path = std::env::temp_dir().join(format!("moby-init-mounts-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let below = format!("{path}/below");
        let apply = |path: &str, kind: &str, options: &[&str]| {
            let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            apply("", path, kind, &options).unwrap();
        };
        let propagations = || (mounted(path).1, mounted(&below).1);
        apply(path, "tmpfs", &["nosuid", "size=1m"]);
        apply(&below, "tmpfs", &[]);
        let of = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(propagations(), of("-", "-"));
        for (option, above, under) in [
            ("shared", "shared", "-"),
            ("rshared", "shared", "shared"),
            ("private", "-", "shared"),
            ("rprivate", "-", "-"),
            ("runbindable", "unbindable", "unbindable"),
            ("rprivate", "-", "-"),
        ] {
            apply(path, "", &["remount", option]);
            assert_eq!(propagations(), of(above, under), "{option}");
        }
        // A slave of nobody is private: it needs a peer, which another mount of the same is.
        let peer = format!("{path}-peer");
        apply(path, "", &["remount", "rshared"]);
        super::apply(path, &peer, "", &["rbind".to_owned(), "rslave".to_owned()]).unwrap();
        assert_eq!(mounted(&peer).1, "master");
        assert_eq!(mounted(&format!("{peer}/below")).1, "master");
        // Propagation alone leaves the flags as they are; with flags both are done.
        assert_eq!(mounted(path).0, "rw,nosuid,relatime");
        apply(path, "", &["remount", "ro", "noexec", "private"]);
        assert_eq!(mounted(path), of("ro,noexec,relatime", "-"));
        assert!(fs::write(format!("{path}/file"), b"").is_err());
        apply(path, "", &["remount", "rw", "rshared"]);
        assert_eq!(mounted(path), of("rw,relatime", "shared"));
        // What was made below /tmp, as the mounts end with their namespace.
        rustix::mount::unmount(peer.as_str(), rustix::mount::UnmountFlags::DETACH).unwrap();
        rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH).unwrap();
        fs::remove_dir(peer).unwrap();
        fs::remove_dir(path).unwrap();
    }
}
