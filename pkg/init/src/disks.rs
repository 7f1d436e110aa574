//! The disks of a machine that stops: unmounted, or at least read-only, so that the next boot finds no
//! journal to replay.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};

use crate::{log, process};

/// Maximum time that an unmount, or the kernel's release of a device, is waited for.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time that the kernel may take to make all filesystems read-only.
const REMOUNT_TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two tries.
const INTERVAL: Duration = Duration::from_millis(20);
/// Mount points that are left alone, with all below them.
const KEPT: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Directory in which the kernel lists block devices, including partitions.
const BLOCK: &str = "/sys/class/block";

/// Unmounts all filesystems, the last mount first, and makes those read-only that cannot be unmounted.
pub fn release() {
    rustix::fs::sync();
    let start = Instant::now();
    while !unmount_all() && start.elapsed() < RELEASE_TIMEOUT {
        std::thread::sleep(INTERVAL);
    }
    for mount in mounts().iter().filter(|mount| mount.is_writable_disk()) {
        if let Err(error) = mount_remount(mount.path.as_str(), MountFlags::RDONLY, c"") {
            log(&format!("cannot make {} read-only: {error}", mount.path));
        }
    }
    rustix::fs::sync();
    // A filesystem may be mounted where it is not seen from here, and a file on it may be swap.
    let start = Instant::now();
    while !in_use().is_empty() && start.elapsed() < RELEASE_TIMEOUT {
        std::thread::sleep(INTERVAL);
    }
    let left = in_use();
    if left.is_empty() && !has_swap() {
        return;
    }
    if let Err(error) = emergency_remount() {
        let disks = if left.is_empty() {
            "swap".into()
        } else {
            left.join(", ")
        };
        log(&format!("cannot make the filesystems on {disks} read-only: {error}"));
    }
}

/// Tries once to unmount all filesystems. Returns whether no writable disk is left mounted.
fn unmount_all() -> bool {
    for mount in mounts().iter().rev().filter(|mount| !mount.is_kept()) {
        let _ = unmount(mount.path.as_str(), UnmountFlags::empty());
    }
    !mounts()
        .iter()
        .any(|mount| mount.is_writable_disk() && !mount.is_kept())
}

/// A mount, by its line in /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug)]
struct Mount {
    /// Device number, as "MAJOR:MINOR".
    device: String,
    path: String,
    source: String,
    /// Options of the filesystem, not of the mount.
    read_only: bool,
}

impl Mount {
    /// Parses "ID PARENT MAJOR:MINOR ROOT PATH OPTIONS [OPTIONAL...] - TYPE SOURCE OPTIONS".
    fn parse(line: &str) -> Option<Mount> {
        let (start, end) = line.split_once(" - ")?;
        let mut start = start.split(' ').skip(2);
        let mut end = end.split(' ').skip(1);
        Some(Mount {
            device: start.next()?.to_owned(),
            path: unescape(start.nth(1)?),
            source: end.next()?.to_owned(),
            read_only: end.next()?.split(',').any(|option| option == "ro"),
        })
    }

    fn is_kept(&self) -> bool {
        let path = std::path::Path::new(&self.path);
        self.path == "/" || KEPT.iter().any(|kept| path.starts_with(kept))
    }

    fn is_writable_disk(&self) -> bool {
        self.source.starts_with("/dev/") && !self.read_only
    }
}

/// Returns all mounts, the oldest first.
fn mounts() -> Vec<Mount> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(Mount::parse).collect()
}

/// Replaces the octal escapes of blanks, tabs, line ends and backslashes.
fn unescape(path: &str) -> String {
    let mut text = path.to_owned();
    for (escape, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(escape, plain);
    }
    text
}

/// Returns the block devices that something holds and can write to: a filesystem in any mount
/// namespace, or swap.
/// The kernel refuses an exclusive open of such a device (O_EXCL, open(2)).
fn in_use() -> Vec<String> {
    let read_only: BTreeSet<String> = mounts()
        .into_iter()
        .filter(|mount| mount.read_only)
        .map(|mount| mount.device)
        .collect();
    let attribute = |path: &str, name: &str| fs::read_to_string(format!("{path}/{name}")).unwrap_or_default();
    let names = process::list(BLOCK).into_iter().filter_map(|path| {
        let name = path.rsplit('/').next()?.to_owned();
        let entries = process::list(&path);
        // A disk is held by its partitions, and a device below another by that.
        let has_partitions = entries
            .iter()
            .any(|entry| fs::exists(format!("{entry}/partition")).unwrap_or(false));
        let has_holders = !process::list(&format!("{path}/holders")).is_empty();
        let is_disk = !["sr", "fd"].iter().any(|kind| name.starts_with(kind)) && attribute(&path, "ro").trim() == "0";
        let is_read_only = read_only.contains(attribute(&path, "dev").trim());
        (is_disk && !has_partitions && !has_holders && !is_read_only && attribute(&path, "size").trim() != "0")
            .then_some(name)
    });
    names.filter(|name| is_held(&format!("/dev/{name}"))).collect()
}

fn is_held(device: &str) -> bool {
    let flags = (OFlags::EXCL | OFlags::NONBLOCK).bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(device);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
}

/// Returns whether there is a swap file or a swap partition. The first line of /proc/swaps is a title.
fn has_swap() -> bool {
    fs::read_to_string("/proc/swaps").unwrap_or_default().lines().count() > 1
}

/// Makes all filesystems read-only, even with open files
/// (Documentation/admin-guide/sysrq.rst, "u"), and waits until it reports that it has.
fn emergency_remount() -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut log = File::from(rustix::fs::open("/dev/kmsg", flags, Mode::empty())?);
    log.seek(io::SeekFrom::End(0))?;
    fs::write("/proc/sysrq-trigger", "u")?;
    let mut record = [0; 8192];
    let start = Instant::now();
    while start.elapsed() < REMOUNT_TIMEOUT {
        match log.read(&mut record) {
            Ok(read) => {
                let text = String::from_utf8_lossy(record.get(..read).unwrap_or_default());
                if text.contains("Emergency Remount complete") {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(INTERVAL),
            // Records that were overwritten before they were read (EPIPE).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(
        "the kernel did not report the end of its emergency remount",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_found_among_mounts() {
        let table = "21 1 0:2 / / rw - rootfs rootfs rw
22 21 0:19 / /proc rw,nosuid shared:5 - proc proc rw
30 21 254:1 / /var/a\\040b rw,relatime shared:9 - ext4 /dev/vda1 rw,errors=remount-ro
31 30 254:1 / /var/a\\040b/bound ro,relatime shared:9 master:4 - ext4 /dev/vda1 rw
32 21 11:0 / /cd ro - iso9660 /dev/sr0 ro
33 21 0:31 / /devices rw - tmpfs tmpfs rw
a line of something else";
        let mounts: Vec<Mount> = table.lines().filter_map(Mount::parse).collect();
        let paths = |wanted: &dyn Fn(&Mount) -> bool| -> Vec<&str> {
            let wanted = mounts.iter().filter(|mount| wanted(mount));
            wanted.map(|mount| mount.path.as_str()).collect()
        };
        // A mount that is read-only does not make the filesystem read-only.
        assert_eq!(paths(&Mount::is_writable_disk), ["/var/a b", "/var/a b/bound"]);
        assert_eq!(paths(&Mount::is_kept), ["/", "/proc"]);
        assert_eq!(mounts.get(2).unwrap().device, "254:1");
    }
}
