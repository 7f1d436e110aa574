//! PID 1 of the machines that moby builds.
//!
//! ```text
//! off the bare ramfs ─▶ mounts ─▶ modules ─▶ lo, hostname ─▶ /etc/init.d
//!   ─▶ volumes ─▶ onboot, one after the other ─▶ services ─▶ (wait) ─▶ onshutdown ─▶ power off
//! ```
//!
//! In an initrd that only leads to a root filesystem on a medium it goes there: see `initrd`.
//!
//! Under the names `poweroff`, `reboot` and `halt` the same program asks PID 1 to stop, and as
//! `modprobe` it loads modules, which the kernel asks for.

#[cfg(all(test, target_os = "linux"))]
mod alone;
#[cfg(target_os = "linux")]
mod containerd;
#[cfg(target_os = "linux")]
mod containers;
#[cfg(target_os = "linux")]
mod hotplug;
#[cfg(target_os = "linux")]
mod initrd;
#[cfg(target_os = "linux")]
mod modules;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod runtime;
#[cfg(target_os = "linux")]
mod shutdown;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("moby-init runs on Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    if let Some(action) = shutdown::Action::of_program(&name) {
        return action.ask();
    }
    if name.rsplit('/').next() == Some("modprobe") {
        return modules::modprobe(std::env::args().skip(1));
    }
    if std::process::id() != 1 {
        eprintln!("moby-init is PID 1 of a machine; poweroff, reboot, halt and modprobe are its other names");
        return std::process::ExitCode::FAILURE;
    }
    if initrd::is_here() {
        return initrd::run();
    }
    say("starting");
    let mut signals = shutdown::signals();
    mounts::leave_ramfs();
    mounts::all();
    limits();
    modules::load();
    mounts::optional();
    mounts::writable_var();
    network::loopback_up();
    hostname();
    process::run_parts("/etc/init.d");
    containers::volumes();
    containers::run_in_order("onboot");
    let services = containers::start_services();
    shutdown::watch_power_button();
    say("started");
    let action = shutdown::wait(&mut signals, services);
    shutdown::stop(action)
}

/// What a server may have open: the kernel's own 4096 are few (RLIMIT_NOFILE, RLIMIT_NPROC).
#[cfg(target_os = "linux")]
fn limits() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, most) in [(Resource::Nofile, Some(1 << 20)), (Resource::Nproc, None)] {
        let limit = Rlimit {
            current: most,
            maximum: most,
        };
        if let Err(error) = setrlimit(resource, limit) {
            say(&format!("limit {resource:?}: {error}"));
        }
    }
}

/// A line on the console.
#[cfg(target_os = "linux")]
fn say(text: &str) {
    use std::io::Write;
    // A console that is gone must not stop the machine.
    let _ = writeln!(std::io::stdout().lock(), "moby-init: {text}");
}

/// That of /etc/hostname; a machine without one is known by the address of its first network card.
#[cfg(target_os = "linux")]
fn hostname() {
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
        say(&format!("hostname {name}: {error}"));
    }
}
