//! The mounts of the machine.

use std::fs;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_move};

use crate::say;

/// `f_type` of ramfs and tmpfs (include/uapi/linux/magic.h).
const RAMFS_MAGIC: u64 = 0x8584_58f6;
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// A folder that the root is bound to for a moment.
const STEP: &str = "/.root";

/// Says what failed, and goes on: half a machine tells more than none.
fn tell(what: &str, result: rustix::io::Result<()>) {
    if let Err(error) = result {
        say(&format!("{what}: {error}"));
    }
}

/// runc's pivot_root does not work on the root that the kernel unpacked the initramfs into.
/// The same files bound and moved over it are a mount like any other.
pub fn leave_ramfs() {
    let Ok(found) = statfs("/") else { return };
    if ![RAMFS_MAGIC, TMPFS_MAGIC].contains(&(found.f_type as u64)) {
        return;
    }
    let _ = fs::create_dir(STEP);
    let moved = mount_bind_recursive("/", STEP)
        .and_then(|()| rustix::process::chdir(STEP))
        .and_then(|()| mount_move(".", "/"))
        .and_then(|()| rustix::process::chroot("."))
        .and_then(|()| rustix::process::chdir("/"));
    tell("leaving the initial root", moved);
}

/// Everything that containers and programs expect.
pub fn all() {
    let none = MountFlags::empty();
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (path, kind, flags, data) in [
        ("/proc", "proc", safe, c""),
        ("/sys", "sysfs", safe, c""),
        ("/dev", "devtmpfs", MountFlags::NOSUID, c"mode=0755"),
        (
            "/dev/pts",
            "devpts",
            MountFlags::NOSUID | MountFlags::NOEXEC,
            c"mode=0620,ptmxmode=0666",
        ),
        (
            "/dev/shm",
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            c"mode=1777",
        ),
        ("/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755"),
        ("/tmp", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=1777"),
        ("/sys/fs/cgroup", "cgroup2", safe, c""),
    ] {
        let _ = fs::create_dir_all(path);
        tell(path, mount(kind, path, kind, flags | none, data));
    }
    for path in ["/run/resolvconf", "/run/runc"] {
        let _ = fs::create_dir_all(path);
    }
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", format!("+{controller}"));
    }
}

/// On a root that is only read, /var is an overlay in memory over what the image has. The
/// overlay may be a module.
pub fn writable_var() {
    let read_only = statvfs("/").is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    if read_only {
        overlay_var();
    }
    let _ = fs::create_dir_all("/var/log");
}

fn overlay_var() {
    let made = fs::create_dir_all("/run/var/upper").and_then(|()| fs::create_dir_all("/run/var/work"));
    if let Err(error) = made {
        say(&format!("/run/var: {error}"));
    }
    let data = c"lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work";
    tell("/var", mount("overlay", "/var", "overlay", MountFlags::empty(), data));
}
