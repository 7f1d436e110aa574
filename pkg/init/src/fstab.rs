//! Mounts with options as in fstab(5).

use std::fs;
use std::io;

use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind_recursive, mount_change, mount_remount};

use crate::error::Error;

/// Options of a mount.
#[derive(Debug)]
struct Options<'a> {
    flags: MountFlags,
    propagation: Option<MountPropagationFlags>,
    bind: bool,
    remount: bool,
    /// Set if a remount has anything to change. Propagation is changed by a call of its own.
    changes: bool,
    /// Options that only the filesystem knows.
    data: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(kind: &str, options: &'a [String]) -> Options<'a> {
        let mut parsed = Options {
            flags: MountFlags::empty(),
            propagation: None,
            bind: kind == "bind",
            remount: false,
            changes: false,
            data: Vec::new(),
        };
        for option in options {
            parsed.add(option);
        }
        parsed
    }

    fn add(&mut self, option: &'a str) {
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
        let unchanging = ["bind", "rbind", "remount", "defaults"];
        self.changes |= !unchanging.contains(&option) && propagation(option).is_none();
    }
}

/// Parses a propagation type (mount_namespaces(7)). With an `r` before it, it holds for all mounts below as
/// well.
fn propagation(option: &str) -> Option<MountPropagationFlags> {
    let flag = |name: &str| match name {
        "private" => Some(MountPropagationFlags::PRIVATE),
        "shared" => Some(MountPropagationFlags::SHARED),
        "slave" => Some(MountPropagationFlags::DOWNSTREAM),
        "unbindable" => Some(MountPropagationFlags::UNBINDABLE),
        _ => None,
    };
    let all = option.strip_prefix('r').and_then(flag);
    flag(option).or(all.map(|flags| flags | MountPropagationFlags::REC))
}

/// Mounts a filesystem. Creates its mount point, and the directories of an overlay.
///
/// # Errors
/// A directory cannot be created, or the kernel refuses the mount.
pub fn mount(source: &str, path: &str, kind: &str, options: &[String]) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file("create", path))?;
    let options = Options::parse(kind, options);
    for option in &options.data {
        // They are in a tmpfs, which is empty at first.
        if let Some(directory) = option.strip_prefix("upperdir=").or(option.strip_prefix("workdir=")) {
            fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        }
    }
    let source = if source.is_empty() { kind } else { source };
    apply(source, path, kind, &options).map_err(Error::mount(source, path))
}

fn apply(source: &str, path: &str, kind: &str, options: &Options) -> io::Result<()> {
    let flags = options.flags;
    let data = std::ffi::CString::new(options.data.join(","))?;
    if options.bind {
        mount_bind_recursive(source, path)?;
        if !flags.is_empty() {
            mount_remount(path, flags | MountFlags::BIND, c"")?;
        }
    } else if options.remount {
        // For a propagation alone, it would take the flags away that the mount has.
        if options.changes || options.propagation.is_none() {
            mount_remount(path, flags, data.as_c_str())?;
        }
    } else {
        rustix::mount::mount(source, path, kind, flags, data.as_c_str())?;
    }
    if let Some(propagation) = options.propagation {
        mount_change(path, propagation)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolated::is_isolated;

    /// Returns the options of a mount point and its propagation: fields six and seven of mountinfo
    /// (proc_pid_mountinfo(5)).
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
        if !is_isolated("fstab::tests::mounts_have_all_their_options", &through) {
            return;
        }
        let temporary = std::env::temp_dir();
        let path = temporary.join("mounts");
        let path = path.to_str().unwrap();
        let below = format!("{path}/below");
        let apply = |path: &str, kind: &str, options: &[&str]| {
            let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            mount("", path, kind, &options).unwrap();
        };
        let propagations = || (mounted(path).1, mounted(&below).1);
        // The mount points are created in it, not in the host's directory.
        apply(temporary.to_str().unwrap(), "tmpfs", &[]);
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
        // A slave mount needs a master; without one it becomes private.
        let peer = format!("{path}-peer");
        apply(path, "", &["remount", "rshared"]);
        mount(path, &peer, "", &["rbind".to_owned(), "rslave".to_owned()]).unwrap();
        assert_eq!(mounted(&peer).1, "master");
        assert_eq!(mounted(&format!("{peer}/below")).1, "master");
        // Propagation alone leaves the flags as they are; with flags both are done.
        assert_eq!(mounted(path).0, "rw,nosuid,relatime");
        apply(path, "", &["remount", "ro", "noexec", "private"]);
        assert_eq!(mounted(path), of("ro,noexec,relatime", "-"));
        assert!(fs::write(format!("{path}/file"), b"").is_err());
        apply(path, "", &["remount", "rw", "rshared"]);
        assert_eq!(mounted(path), of("rw,relatime", "shared"));
        // The mounts end with their namespace, but the directories do not.
        rustix::mount::unmount(peer.as_str(), rustix::mount::UnmountFlags::DETACH).unwrap();
        rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH).unwrap();
        fs::remove_dir(peer).unwrap();
        fs::remove_dir(path).unwrap();
    }
}
