//! First init of a machine whose root filesystem is on a disk or an ISO. It loads drivers, finds the
//! device that `root=` names, mounts it and hands over to the init there. The kernel arguments are
//! those of dracut.cmdline(7).
//!
//! ```text
//! /dev /proc /sys ─▶ modules ─▶ root= ─▶ moby.image= ─▶ roothash= ─▶ /sysroot ─▶ its init
//! ```

mod cmdline;
mod device;
mod device_mapper;
mod ioctl;
mod loopback;
mod verity;

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};

use crate::error::Error;
use crate::{console, log, modules};
use cmdline::Cmdline;

/// Mount point of the root filesystem before it is the root.
const SYSROOT: &str = "/sysroot";
/// Mount point of a filesystem that contains the root filesystem in a file.
const OUTER: &str = "/outer";
/// File that marks an initrd (systemd's INITRD_INTERFACE).
const MARKER: &str = "/etc/initrd-release";
/// Maximum time that a device may take to appear.
const DEVICE_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns whether the root is an initrd, not the machine's own filesystem.
pub fn is_here() -> bool {
    Path::new(MARKER).exists()
}

/// Hands over to the init of the root filesystem. When that is not possible it ends, at which the
/// kernel panics, and reboots if `panic=` asks for it.
pub fn run() -> std::process::ExitCode {
    match enter() {
        Ok(never) => match never {},
        Err(error) => {
            log(&format!("cannot mount the root filesystem: {error}"));
            console::close();
            std::process::ExitCode::FAILURE
        }
    }
}

fn enter() -> Result<Infallible, Error> {
    for (path, kind) in [("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "devtmpfs")] {
        fs::create_dir_all(path).map_err(Error::file("create", path))?;
        try_mount(kind, path, kind, MountFlags::empty(), "").map_err(Error::mount(kind, path))?;
    }
    console::open();
    modules::load();
    console::open();
    let cmdline = Cmdline::read();
    let root_hash = cmdline.root_hash()?;
    // Without root=, a verified filesystem is found by its root hash.
    let device = match &root_hash {
        Some(root_hash) if cmdline.root.is_empty() => {
            wait_for(&format!("roothash={}", root_hash.digits), || verity::find(root_hash))?
        }
        _ if cmdline.root.is_empty() => return Err(Error::NoRoot),
        _ => wait_for(&format!("root={}", cmdline.root), || device::find(&cmdline.root))?,
    };
    for path in [SYSROOT, OUTER] {
        fs::create_dir_all(path).map_err(Error::file("create", path))?;
    }
    let flags = if cmdline.writable && root_hash.is_none() {
        MountFlags::empty()
    } else {
        MountFlags::RDONLY
    };
    let types = match cmdline.kind.as_str() {
        "" => known_types(),
        kinds => kinds.split(',').map(str::to_owned).collect(),
    };
    let device = match &cmdline.image {
        None => device,
        Some(image) => {
            mount_any(&device, OUTER, &known_types(), MountFlags::RDONLY, "")?;
            loopback::attach(&format!("{OUTER}/{}", image.trim_start_matches('/')))?
        }
    };
    let device = match &root_hash {
        None => device,
        Some(root_hash) => {
            let verified = verity::open(&device, root_hash)?;
            log(&format!("dm-verity: {verified} has root hash {}", root_hash.digits));
            verified
        }
    };
    mount_any(&device, SYSROOT, &types, flags, &cmdline.flags)?;
    switch(&cmdline.init)
}

/// Waits for the device that a kernel argument describes.
fn wait_for(argument: &str, find: impl Fn() -> Option<String>) -> Result<String, Error> {
    let start = Instant::now();
    loop {
        if let Some(device) = find() {
            log(&format!("{argument} is {device}"));
            return Ok(device);
        }
        if start.elapsed() > DEVICE_TIMEOUT {
            return Err(Error::RootNotFound {
                argument: argument.to_owned(),
                devices: device::all().join(" "),
            });
        }
        // Devices that appear meanwhile get their drivers.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Returns the types of filesystems on devices that the kernel knows (proc_filesystems(5)).
fn known_types() -> Vec<String> {
    let text = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with("nodev"));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn try_mount(device: &str, path: &str, kind: &str, flags: MountFlags, data: &str) -> io::Result<()> {
    let data = CString::new(data)?;
    Ok(mount(device, path, kind, flags, data.as_c_str())?)
}

/// Mounts a device as the first type that the kernel accepts.
fn mount_any(device: &str, path: &str, types: &[String], flags: MountFlags, data: &str) -> Result<(), Error> {
    let mut errors = Vec::new();
    for kind in types {
        match try_mount(device, path, kind, flags, data) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(format!("{kind}: {error}")),
        }
    }
    let attempts = if errors.is_empty() {
        "no type to try".into()
    } else {
        errors.join(", ")
    };
    Err(Error::NoFilesystem {
        device: device.to_owned(),
        attempts,
    })
}

/// Makes the mounted filesystem the root, and starts its init.
fn switch(init: &str) -> Result<Infallible, Error> {
    let candidates = match init {
        "" => &["/sbin/init", "/init", "/etc/init", "/bin/init"][..],
        init => &[init],
    };
    let exists = |path: &&&str| fs::symlink_metadata(format!("{SYSROOT}{path}")).is_ok();
    let init = candidates.iter().find(exists);
    let init = init.ok_or_else(|| Error::NoInit(candidates.join(", no ")))?;
    // The next program has neither this thread nor its pipe.
    console::close();
    for path in ["/dev", "/proc", "/sys"] {
        // Its init mounts its own, as if the kernel had started it.
        let _ = unmount(path, UnmountFlags::DETACH);
    }
    let moved = rustix::process::chdir(SYSROOT)
        .and_then(|()| mount_move(".", "/"))
        .and_then(|()| rustix::process::chroot("."))
        .and_then(|()| rustix::process::chdir("/"));
    moved.map_err(|error| Error::Switch(error.into()))?;
    Err(Error::file("run", init)(Command::new(init).exec()))
}
