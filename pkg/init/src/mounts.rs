//! The mounts of the machine.

use std::fs::{self, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, statfs, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, mount_move,
    mount_remount, unmount,
};

use crate::say;

/// `f_type` of ramfs and tmpfs (include/uapi/linux/magic.h).
const RAMFS_MAGIC: u64 = 0x8584_58f6;
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// A folder that the root is bound to for a moment.
const STEP: &str = "/.root";

/// Says what failed, and goes on: half a machine tells more than none.
fn tell<E: std::fmt::Display>(what: &str, result: Result<(), E>) {
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
        let mounted = match mount(kind, path, kind, flags | none, data) {
            // By the kernel, before it ran its first program (DEVTMPFS_MOUNT).
            Err(Errno::BUSY) => mount_remount(path, flags, data),
            other => other,
        };
        tell(path, mounted);
    }
    for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        // devtmpfs may have been mounted, and filled, by an initrd before.
        let _ = symlink(format!("/proc/self/{target}"), format!("/dev/{name}"));
    }
    // A container that mounts a disk below a shared folder mounts it for everybody.
    let shared = mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    tell("making / shared", shared);
    for path in ["/run/resolvconf", "/run/runc"] {
        let _ = fs::create_dir_all(path);
    }
    // Containers bind it, also where nothing writes it.
    let resolv = fs::File::options()
        .create(true)
        .append(true)
        .open("/run/resolvconf/resolv.conf");
    tell("/run/resolvconf/resolv.conf", resolv.map(drop));
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", format!("+{controller}"));
    }
}

/// What not every kernel has: mounted where its folder is there, and nothing is said of the others.
/// Some are modules.
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

/// The folders that programs expect in /var, and the modes of those that are not like others.
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

/// On a root that is only read, /var is an overlay in memory over what the image has. The
/// overlay may be a module.
pub fn writable_var() {
    let read_only = statvfs("/").is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    if read_only {
        overlay_var();
    }
    let _ = fs::create_dir("/var");
    for (name, mode) in VAR {
        let path = format!("/var/{name}");
        if fs::create_dir(&path).is_ok() {
            tell(&path, fs::set_permissions(&path, Permissions::from_mode(mode)));
        }
    }
    let _ = symlink("/run", "/var/run");
}

fn overlay_var() {
    let made = fs::create_dir_all("/run/var/upper").and_then(|()| fs::create_dir_all("/run/var/work"));
    if let Err(error) = made {
        say(&format!("/run/var: {error}"));
    }
    let data = c"lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work";
    tell("/var", mount("overlay", "/var", "overlay", MountFlags::empty(), data));
}

/// How often, and how many times, to look whether the kernel has left the disks.
const LOOK: (Duration, u32) = (Duration::from_millis(50), 100);

/// Takes the disks off, so that nothing on them waits to be written: the last mounted first,
/// and read-only where something still uses it.
pub fn leave_disks() {
    for path in disks().iter().rev() {
        if unmount(path.as_str(), UnmountFlags::empty()).is_err() {
            let _ = mount_remount(path.as_str(), MountFlags::RDONLY, c"");
        }
    }
    rustix::fs::sync();
    // The first line of /proc/swaps is a title. A swap file that a container turned on is in a
    // mount of that container, which is not seen here any more.
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if disks().is_empty() && swaps.lines().count() <= 1 {
        return;
    }
    if let Err(error) = emergency_remount() {
        say(&format!("disks are still written to: {error}"));
    }
}

/// Has the kernel make all filesystems read-only, whatever is open on them
/// (Documentation/admin-guide/sysrq.rst, "u"), and waits until it says that it has.
fn emergency_remount() -> io::Result<()> {
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut log = fs::File::from(rustix::fs::open("/dev/kmsg", how, Mode::empty())?);
    log.seek(io::SeekFrom::End(0))?;
    fs::write("/proc/sysrq-trigger", "u")?;
    let mut record = [0; 8192];
    for _ in 0..LOOK.1 {
        match log.read(&mut record) {
            Ok(read) => {
                let text = String::from_utf8_lossy(record.get(..read).unwrap_or_default());
                if text.contains("Emergency Remount complete") {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(LOOK.0),
            // Records that were overwritten before they were read (EPIPE).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the kernel does not make them read-only"))
}

/// Where filesystems of block devices are mounted that can be written to.
fn disks() -> Vec<String> {
    writable_disks(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

/// From the lines of proc_mounts(5): "DEVICE PATH TYPE OPTIONS 0 0".
fn writable_disks(table: &str) -> Vec<String> {
    let path = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [device, path, _, options, ..] = words.as_slice() else {
            return None;
        };
        let writable = options.split(',').any(|option| option == "rw");
        // A blank in a path is written in octal.
        (device.starts_with("/dev/") && writable).then(|| path.replace("\\040", " "))
    };
    table.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::writable_disks;

    #[test]
    fn disks_are_found_among_mounts() {
        let table =
            "rootfs / rootfs rw 0 0\n/dev/vda1 /var/a\\040b ext4 rw,relatime 0 0\n/dev/sr0 /cd iso9660 ro 0 0\n";
        assert_eq!(writable_disks(table), ["/var/a b"]);
    }
}
