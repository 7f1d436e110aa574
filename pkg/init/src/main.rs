//! PID 1 of machines that moby builds.
//!
//! ```text
//! off the initial ramfs ─▶ mounts ─▶ consoles ─▶ modules ─▶ lo, hostname ─▶ /etc/init.d
//!   ─▶ volumes ─▶ onboot, one after the other ─▶ services, restarted when they end ─▶ (a request to stop)
//!   ─▶ onshutdown ─▶ SIGTERM, SIGKILL ─▶ unmount ─▶ power off
//! ```
//!
//! In an initrd that only mounts a root filesystem it hands over to the init there: see [`initrd`].
//!
//! Under the names `poweroff`, `reboot` and `halt` the program asks PID 1 to stop the machine. As
//! `modprobe` it loads modules, for the kernel as well.

#[cfg(target_os = "linux")]
mod console;
#[cfg(target_os = "linux")]
mod containerd;
#[cfg(target_os = "linux")]
mod containers;
#[cfg(target_os = "linux")]
mod disks;
#[cfg(target_os = "linux")]
mod error;
#[cfg(target_os = "linux")]
mod fstab;
#[cfg(target_os = "linux")]
mod hotplug;
#[cfg(target_os = "linux")]
mod initrd;
#[cfg(all(test, target_os = "linux"))]
mod isolated;
#[cfg(target_os = "linux")]
mod modules;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod restart;
#[cfg(target_os = "linux")]
mod runtime;
#[cfg(target_os = "linux")]
mod shutdown;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod terminate;

#[cfg(target_os = "linux")]
use console::log;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("moby-init runs on Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    // The kernel passes on whatever it does not understand, in any encoding.
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let name = arguments.next().unwrap_or_default();
    if let Some(action) = shutdown::Action::from_program(&name) {
        return action.request();
    }
    if name.rsplit('/').next() == Some("modprobe") {
        return modules::modprobe(arguments);
    }
    if std::process::id() != 1 {
        eprintln!("moby-init has to be PID 1; it can also be called as poweroff, reboot, halt or modprobe");
        return std::process::ExitCode::FAILURE;
    }
    if initrd::is_here() {
        return initrd::run();
    }
    boot()
}

#[cfg(target_os = "linux")]
fn boot() -> ! {
    let children = shutdown::listen();
    mounts::leave_ramfs();
    mounts::all();
    console::open();
    log("starting");
    raise_limits();
    modules::load();
    // Drivers may have brought more.
    console::open();
    shutdown::watch_power_button();
    mounts::optional();
    mounts::writable_var();
    network::loopback_up();
    set_hostname();
    process::run_parts("/etc/init.d");
    containers::volumes();
    containers::run_in_order("onboot");
    let services = containers::start_services();
    log("started");
    shutdown::supervise(&children, services)
}

/// Raises the limits of open files and processes to what servers need: the kernel's own 4096 are few.
#[cfg(target_os = "linux")]
fn raise_limits() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, name, value) in [
        (Resource::Nofile, "open files", Some(1 << 20)),
        (Resource::Nproc, "processes", None),
    ] {
        let limit = Rlimit {
            current: value,
            maximum: value,
        };
        if let Err(error) = setrlimit(resource, limit) {
            log(&format!("cannot raise the limit of {name}: {error}"));
        }
    }
}

/// Sets the hostname of /etc/hostname. A machine without one is named after the address of its first
/// network card.
#[cfg(target_os = "linux")]
fn set_hostname() {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let mut name = read("/etc/hostname");
    if name.is_empty() && ["", "(none)"].contains(&read("/proc/sys/kernel/hostname").as_str()) {
        name = match read("/sys/class/net/eth0/address").replace(':', "") {
            address if address.is_empty() => return,
            address => format!("moby-{address}"),
        };
    }
    if !name.is_empty()
        && let Err(error) = rustix::system::sethostname(name.as_bytes())
    {
        log(&format!("cannot set the hostname {name}: {error}"));
    }
}
