//! The first init of a machine whose root filesystem is on a medium: it loads drivers, finds the
//! medium by what `root=` says of it, mounts it and hands over to the init on it. What it is told
//! is as dracut.cmdline(7) has it.
//!
//! ```text
//! /dev /proc /sys ─▶ modules ─▶ root= ─▶ /sysroot ─▶ its init
//! ```

mod cmdline;
mod device;
mod loopback;

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};

use crate::{modules, say};
use cmdline::Cmdline;

/// Where the root is mounted before it is the root.
const SYSROOT: &str = "/sysroot";
/// Where a medium is mounted that has the root filesystem in a file.
const MEDIUM: &str = "/medium";
/// What marks an initrd (systemd's INITRD_INTERFACE).
const MARK: &str = "/etc/initrd-release";
/// How long a medium may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this is an initrd, and not the root filesystem itself.
pub fn is_here() -> bool {
    Path::new(MARK).exists()
}

/// Goes to the root filesystem, or says why that is not possible and ends, at which the kernel
/// panics, and starts again when `panic=` says so.
pub fn run() -> std::process::ExitCode {
    match enter() {
        Ok(never) => match never {},
        Err(error) => {
            say(&format!("cannot mount the root filesystem: {error}"));
            std::process::ExitCode::FAILURE
        }
    }
}

fn enter() -> Result<Infallible, String> {
    for (path, kind) in [("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "devtmpfs")] {
        let made = fs::create_dir_all(path).map_err(|error| error.to_string());
        made.and_then(|()| attach(kind, path, kind, MountFlags::empty(), ""))?;
    }
    modules::load();
    let cmdline = Cmdline::read();
    let device = wait_for(&cmdline.root)?;
    say(&format!("root={} is {device}", cmdline.root));
    for folder in [SYSROOT, MEDIUM] {
        fs::create_dir_all(folder).map_err(|error| format!("{folder}: {error}"))?;
    }
    let flags = match cmdline.writable {
        true => MountFlags::empty(),
        false => MountFlags::RDONLY,
    };
    let types = match cmdline.kind.as_str() {
        "" => known(),
        kinds => kinds.split(',').map(str::to_owned).collect(),
    };
    let device = match &cmdline.image {
        None => device,
        Some(image) => {
            mount_any(&device, MEDIUM, &known(), MountFlags::RDONLY, "")?;
            let file = format!("{MEDIUM}/{}", image.trim_start_matches('/'));
            loopback::attach(&file).map_err(|error| format!("{image} on {device}: {error}"))?
        }
    };
    mount_any(&device, SYSROOT, &types, flags, &cmdline.flags)?;
    switch(&cmdline.init)
}

/// The device, as soon as it is there.
fn wait_for(root: &str) -> Result<String, String> {
    if root.is_empty() {
        return Err("the kernel's command line has no root=".into());
    }
    let start = Instant::now();
    loop {
        if let Some(device) = device::find(root) {
            return Ok(device);
        }
        if start.elapsed() > PATIENCE {
            let there = device::all().join(" ");
            return Err(format!("nothing is {root}; there is {there}"));
        }
        // What appears meanwhile gets its drivers.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The filesystems that the kernel knows and that live on a device (proc(5)).
fn known() -> Vec<String> {
    let text = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with("nodev"));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn attach(source: &str, path: &str, kind: &str, flags: MountFlags, data: &str) -> Result<(), String> {
    let data = CString::new(data).map_err(|error| error.to_string())?;
    mount(source, path, kind, flags, data.as_c_str()).map_err(|error| format!("{source} as {kind}: {error}"))
}

/// Mounts as the first of the types that goes.
fn mount_any(device: &str, path: &str, types: &[String], flags: MountFlags, data: &str) -> Result<(), String> {
    let mut errors = Vec::new();
    for kind in types {
        match attach(device, path, kind, flags, data) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(error),
        }
    }
    Err(errors.join(", "))
}

/// Makes the mounted filesystem the root, and starts its init.
fn switch(init: &str) -> Result<Infallible, String> {
    let candidates = match init {
        "" => &["/sbin/init", "/init", "/etc/init", "/bin/init"][..],
        init => &[init],
    };
    let there = |path: &&&str| fs::symlink_metadata(format!("{SYSROOT}{path}")).is_ok();
    let init = candidates.iter().find(there);
    let init = init.ok_or_else(|| format!("it has no {}", candidates.join(", no ")))?;
    for path in ["/dev", "/proc", "/sys"] {
        // Its init mounts its own, as if the kernel had started it.
        let _ = unmount(path, UnmountFlags::DETACH);
    }
    let moved = rustix::process::chdir(SYSROOT)
        .and_then(|()| mount_move(".", "/"))
        .and_then(|()| rustix::process::chroot("."))
        .and_then(|()| rustix::process::chdir("/"));
    moved.map_err(|error| format!("leaving the initrd: {error}"))?;
    Err(format!("{init}: {}", Command::new(init).exec()))
}
