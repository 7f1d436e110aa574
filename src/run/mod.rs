//! Booting in QEMU what `moby build` made.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the machine is.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What the build's files begin with, or one of them.
    pub name: PathBuf,
    /// The architecture as Go names it.
    pub arch: String,
    /// How many processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub mem: u32,
    /// Disk images.
    pub disks: Vec<PathBuf>,
    /// Ports of the host and the guest.
    pub publish: Vec<(u16, u16)>,
    /// Whether there is a window.
    pub gui: bool,
}

/// Takes `HOST:GUEST` apart.
///
/// # Errors
/// A text that is not two ports.
pub fn parse_publish(text: &str) -> Result<(u16, u16), String> {
    let ports = text.trim_end_matches("/tcp").split_once(':');
    let ports = ports.and_then(|(host, guest)| Some((host.parse().ok()?, guest.parse().ok()?)));
    ports.ok_or_else(|| format!("{text:?} is not HOST:GUEST, two port numbers"))
}

/// The program and the Debian package that has it.
fn program(arch: &str) -> Result<(&'static str, &'static str), String> {
    match arch {
        "amd64" => Ok(("qemu-system-x86_64", "qemu-system-x86")),
        "arm64" => Ok(("qemu-system-aarch64", "qemu-system-arm")),
        other => Err(format!("there is no machine for {other}")),
    }
}

/// Runs the machine on this terminal until it ends.
///
/// # Errors
/// Files that are missing, QEMU missing, or a QEMU that fails.
pub fn run(machine: &Machine) -> Result<(), String> {
    let (program, package) = program(&machine.arch)?;
    let status = Command::new(program).args(arguments(machine)?).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
            "{program} is not installed\nhelp: on Debian: apt-get install {package}; on macOS: brew install qemu"
        )),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

/// The arguments for QEMU.
fn arguments(machine: &Machine) -> Result<Vec<OsString>, String> {
    let file = |suffix: &str| {
        let mut path = machine.name.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    let kernel = file("-kernel");
    if !kernel.exists() {
        return Err(format!(
            "there is no {}\nhelp: `moby build -f kernel+initrd` makes it; moby run takes the name without -kernel",
            kernel.display()
        ));
    }
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |texts: &[&str]| arguments.extend(texts.iter().map(OsString::from));
    let native = matches!(
        (machine.arch.as_str(), std::env::consts::ARCH),
        ("amd64", "x86_64") | ("arm64", "aarch64")
    );
    let kind = if machine.arch == "arm64" { "virt" } else { "pc" };
    let fast = if native && usable(Path::new("/dev/kvm")) {
        Some("kvm")
    } else if native && cfg!(target_os = "macos") {
        Some("hvf")
    } else {
        None
    };
    add(&["-machine", kind, "-accel", fast.unwrap_or("tcg")]);
    let cpu = match (fast, machine.arch.as_str()) {
        (Some(_), _) => Some("host"),
        (None, "arm64") => Some("cortex-a57"),
        _ => None,
    };
    if let Some(cpu) = cpu {
        add(&["-cpu", cpu]);
    }
    add(&[
        "-smp",
        &machine.cpus.to_string(),
        "-m",
        &machine.mem.to_string(),
        "-no-reboot",
    ]);
    if machine.gui {
        add(&["-serial", "mon:stdio"]);
    } else {
        add(&["-nographic"]);
    }
    let mut network = String::from("user,model=virtio-net-pci");
    for (host, guest) in &machine.publish {
        network.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
    }
    add(&["-nic", &network, "-device", "virtio-rng-pci"]);
    for disk in &machine.disks {
        let path = disk
            .to_str()
            .ok_or_else(|| format!("{} is not UTF-8", disk.display()))?;
        // A comma in a value of QEMU's is written twice.
        add(&["-drive", &format!("if=virtio,file={}", path.replace(',', ",,"))]);
    }
    let cmdline = std::fs::read_to_string(file("-cmdline")).unwrap_or_default();
    let initrd = file("-initrd.img");
    for (option, value) in [
        ("-kernel", kernel.into_os_string()),
        ("-initrd", initrd.into_os_string()),
        ("-append", OsString::from(cmdline)),
    ] {
        arguments.push(option.into());
        arguments.push(value);
    }
    Ok(arguments)
}

/// Whether the current user may use a device.
fn usable(path: &Path) -> bool {
    std::fs::File::options().read(true).write(true).open(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::parse_publish;

    #[test]
    fn ports_come_in_pairs() {
        assert_eq!(parse_publish("8080:80"), Ok((8080, 80)));
        assert_eq!(parse_publish("8080:80/tcp"), Ok((8080, 80)));
        assert!(parse_publish("80").is_err());
        assert!(parse_publish("a:b").is_err());
    }
}
