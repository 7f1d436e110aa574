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
    modules::load();
    mounts::writable_var();
    network::loopback_up();
    hostname();
    init_d();
    containers::volumes();
    containers::run_in_order("onboot");
    let services = containers::start_services();
    shutdown::watch_power_button();
    say("started");
    let action = shutdown::wait(&mut signals, services);
    shutdown::stop(action)
}

/// A line on the console.
#[cfg(target_os = "linux")]
fn say(text: &str) {
    use std::io::Write;
    // A console that is gone must not stop the machine.
    let _ = writeln!(std::io::stdout().lock(), "moby-init: {text}");
}

#[cfg(target_os = "linux")]
fn hostname() {
    if let Ok(name) = std::fs::read_to_string("/etc/hostname")
        && let Err(error) = rustix::system::sethostname(name.trim().as_bytes())
    {
        say(&format!("hostname {}: {error}", name.trim()));
    }
}

/// Runs what is in /etc/init.d, by name.
#[cfg(target_os = "linux")]
fn init_d() {
    for path in process::list("/etc/init.d") {
        say(&path);
        process::run(std::process::Command::new(&path));
    }
}
