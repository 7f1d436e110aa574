//! Booting in QEMU what `moby build` made.

mod data;
mod medium;
mod rootfs;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use data::Data;

/// How the machine is.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What the files of a build with kernel and initrd begin with, or the file of a disk or a CD.
    pub name: PathBuf,
    /// Whether a disk or a CD is started by UEFI.
    pub uefi: bool,
    /// Whether a CD is attached as a disk.
    pub stick: bool,
    /// The architecture as Go names it.
    pub arch: String,
    /// How many processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub mem: u32,
    /// Disk images.
    pub disks: Vec<PathBuf>,
    /// What the machine finds on a CD.
    pub data: Option<Data>,
    /// Ports of the host and the guest.
    pub publish: Vec<(u16, u16)>,
    /// Whether there is a window.
    pub gui: bool,
    /// How QEMU accelerates; what works is found out when nothing is said.
    pub accel: Option<String>,
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
    let mut arguments = arguments(machine, program)?;
    // Removed when the machine has ended.
    let cd = machine.data.as_ref().map(Data::cd).transpose()?;
    if let Some(cd) = &cd {
        arguments.extend(medium::cd("data", "", &machine.arch, cd)?);
    }
    let status = Command::new(program).args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
            "{program} is not installed\nhelp: on Debian: apt-get install {package}; on macOS: brew install qemu; on Windows: the installer of qemu.org, and its folder in PATH"
        )),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

/// The arguments for QEMU.
fn arguments(machine: &Machine, program: &str) -> Result<Vec<OsString>, String> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |texts: &[&str]| arguments.extend(texts.iter().map(OsString::from));
    let native = matches!(
        (machine.arch.as_str(), std::env::consts::ARCH),
        ("amd64", "x86_64") | ("arm64", "aarch64")
    );
    let kind = if machine.arch == "arm64" { "virt" } else { "pc" };
    let accel = match &machine.accel {
        Some(accel) => accel.as_str(),
        None if native && usable(Path::new("/dev/kvm")) && works(program, kind, "kvm") => "kvm",
        None if native && cfg!(target_os = "macos") => "hvf",
        None => "tcg",
    };
    add(&["-machine", kind, "-accel", accel]);
    let cpu = match (accel, machine.arch.as_str()) {
        ("tcg", "arm64") => Some("cortex-a57"),
        ("tcg", _) => None,
        _ => Some("host"),
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
        let format = medium::format(disk);
        add(&[
            "-drive",
            &format!("if=virtio,format={format},file={}", medium::value(disk)?),
        ]);
    }
    // A busy host may be too late for the kernel's test of the timer, and it panics. Under KVM it
    // leaves the test out by itself (arch/x86/kernel/kvm.c).
    let words = match accel == "tcg" && machine.arch == "amd64" {
        true => "no_timer_check ",
        false => "",
    };
    match (rootfs::of(&machine.name), machine.name.is_file()) {
        (Some(root), _) => arguments.extend(rootfs::arguments(&root, words)),
        (None, true) => arguments.extend(medium::arguments(machine)?),
        (None, false) => arguments.extend(kernel(&machine.name, words)?),
    }
    Ok(arguments)
}

/// The arguments for kernel, initrd and command line, before which a text is put.
fn kernel(name: &Path, first: &str) -> Result<Vec<OsString>, String> {
    let file = |suffix: &str| {
        let mut path = name.to_owned().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    let kernel = file("-kernel");
    if !kernel.exists() {
        return Err(format!(
            "there is no {}, and no {}\nhelp: `moby build -f kernel+initrd` makes the first; moby run takes the name without -kernel, or the file of a disk or a CD",
            kernel.display(),
            name.display()
        ));
    }
    let initrd = file("-initrd.img");
    if !initrd.exists() {
        let help = match rootfs::beside(name) {
            Some(image) => format!(
                "`moby run {}` boots with the root filesystem beside it",
                image.display()
            ),
            None => "`moby build -f kernel+initrd` makes it".into(),
        };
        return Err(format!("there is no {}\nhelp: {help}", initrd.display()));
    }
    let cmdline = std::fs::read_to_string(file("-cmdline")).unwrap_or_default();
    Ok(vec![
        "-kernel".into(),
        kernel.into(),
        "-initrd".into(),
        initrd.into(),
        "-append".into(),
        format!("{first}{cmdline}").into(),
    ])
}

/// Whether an accelerator works: on some machines KVM is there and fails at the first use. A
/// machine that does not start is set up and left again.
fn works(program: &str, kind: &str, accel: &str) -> bool {
    let child = Command::new(program)
        .args(["-machine", kind, "-accel", accel, "-cpu", "host", "-S", "-nodefaults"])
        .args(["-display", "none", "-monitor", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut stdin) = child.stdin.take() {
        // It may have failed already, and then nobody reads.
        let _ = io::Write::write_all(&mut stdin, b"quit\n");
    }
    child.wait().is_ok_and(|status| status.success())
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
