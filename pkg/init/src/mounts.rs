//! Mounts of a machine that boots.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_move, mount_remount,
};

use crate::log;

/// `f_type` of ramfs and tmpfs (include/uapi/linux/magic.h).
const RAMFS_MAGIC: u64 = 0x8584_58f6;
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Directory to which the root is bound until it is moved to /.
const TEMP_ROOT: &str = "/.root";

/// Reports a failure, and goes on: a partly booted machine is easier to diagnose.
fn report<E: std::fmt::Display>(action: &str, result: Result<(), E>) {
    if let Err(error) = result {
        log(&format!("cannot {action}: {error}"));
    }
}

/// Moves a bind mount of / over the initial ramfs, on which runc's pivot_root would fail.
pub fn leave_ramfs() {
    let Ok(found) = statfs("/") else { return };
    if ![RAMFS_MAGIC, TMPFS_MAGIC].contains(&(found.f_type as u64)) {
        return;
    }
    let _ = fs::create_dir(TEMP_ROOT);
    let moved = mount_bind_recursive("/", TEMP_ROOT)
        .and_then(|()| rustix::process::chdir(TEMP_ROOT))
        .and_then(|()| mount_move(".", "/"))
        .and_then(|()| rustix::process::chroot("."))
        .and_then(|()| rustix::process::chdir("/"));
    report("leave the initial ramfs", moved);
}

/// Mounts the filesystems that containers and programs expect.
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
        let mounted = match mount(kind, path, kind, flags | none, data) {
            // With DEVTMPFS_MOUNT, the kernel has mounted it before its first program.
            Err(Errno::BUSY) => mount_remount(path, flags, data),
            other => other,
        };
        report(&format!("mount {kind} on {path}"), mounted);
    }
    for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        // devtmpfs may have been mounted, and filled, by an initrd before.
        let _ = symlink(format!("/proc/self/{target}"), format!("/dev/{name}"));
    }
    // A container that mounts a disk below a shared directory mounts it for the whole machine.
    let shared = mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    report("share the mounts of /", shared);
    for path in ["/run/resolvconf", "/run/runc"] {
        let _ = fs::create_dir_all(path);
    }
    // Containers bind-mount it, even if nothing writes it.
    let resolv = fs::File::options()
        .create(true)
        .append(true)
        .open("/run/resolvconf/resolv.conf");
    report("create /run/resolvconf/resolv.conf", resolv.map(drop));
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", format!("+{controller}"));
    }
}

/// Mounts filesystems that not every kernel has, some of them as modules. Without its filesystem, a mount
/// point in /sys or /proc does not exist, so failures are not reported.
pub fn optional() {
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let _ = fs::create_dir("/dev/mqueue");
    for (path, kind) in [
        ("/dev/mqueue", "mqueue"),
        ("/sys/kernel/security", "securityfs"),
        ("/sys/kernel/debug", "debugfs"),
        ("/sys/kernel/config", "configfs"),
        ("/sys/fs/fuse/connections", "fusectl"),
        ("/sys/fs/selinux", "selinuxfs"),
        ("/sys/fs/pstore", "pstore"),
        ("/sys/fs/bpf", "bpf"),
        ("/sys/firmware/efi/efivars", "efivarfs"),
        ("/proc/sys/fs/binfmt_misc", "binfmt_misc"),
    ] {
        let _ = mount(kind, path, kind, safe, c"");
    }
}

/// Directories that programs expect in /var, with their permissions.
const VAR: [(&str, u32); 9] = [
    ("cache", 0o755),
    ("empty", 0o555),
    ("lib", 0o755),
    ("local", 0o755),
    ("lock", 0o755),
    ("log", 0o755),
    ("opt", 0o755),
    ("spool", 0o755),
    ("tmp", 0o1777),
];

/// Makes /var writable, with the directories that programs expect. On a read-only root it becomes an overlay
/// in memory over the image's files, for which the module overlay must be loaded.
pub fn writable_var() {
    let read_only = statvfs("/").is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    if read_only {
        overlay_var();
    }
    let _ = fs::create_dir("/var");
    for (name, mode) in VAR {
        let path = format!("/var/{name}");
        if fs::create_dir(&path).is_ok() {
            let permitted = fs::set_permissions(&path, Permissions::from_mode(mode));
            report(&format!("set the permissions of {path}"), permitted);
        }
    }
    let _ = symlink("/run", "/var/run");
}

fn overlay_var() {
    for path in ["/run/var/upper", "/run/var/work"] {
        report(&format!("create {path}"), fs::create_dir_all(path));
    }
    let data = c"lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work";
    let mounted = mount("overlay", "/var", "overlay", MountFlags::empty(), data);
    report("make /var writable", mounted);
}
