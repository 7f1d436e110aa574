//! Arguments for QEMU.

use std::ffi::OsString;
use std::path::Path;

use super::qemu::Qemu;
use super::{Error, Machine, accelerator, boot_disk, is_emulation, rootfs, with_suffix};

/// Head of the identifiers of attached disks, by which QEMU's statistics name them.
pub const DISK: &str = "disk-";

/// Composes the arguments for a machine, with an ISO image of data for it.
pub fn arguments(
    machine: &Machine,
    qemu: Qemu,
    accelerator: &str,
    data: Option<&Path>,
) -> Result<Vec<OsString>, Error> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |texts: &[&str]| arguments.extend(texts.iter().map(OsString::from));
    add(&["-machine", qemu.machine, "-accel", accelerator]);
    match (is_emulation(accelerator), machine.arch.as_str()) {
        (true, "arm64") => add(&["-cpu", "cortex-a57"]),
        (true, _) => {}
        (false, _) => add(accelerator::cpu(accelerator, &machine.arch)),
    }
    let (cpus, mem) = (machine.cpus.to_string(), machine.mem.to_string());
    add(&["-smp", &cpus, "-m", &mem, "-no-reboot"]);
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
    for (at, disk) in machine.disks.iter().enumerate() {
        let (format, file) = (boot_disk::format(disk), boot_disk::value(disk)?);
        add(&[
            "-drive",
            &format!("id={DISK}{at},if=virtio,format={format},file={file}"),
        ]);
    }
    // The kernel's test of the timer fails on a host too busy to emulate it in time, and the kernel
    // panics. Under KVM the kernel leaves the test out by itself (arch/x86/kernel/kvm.c).
    let kernel_arguments = if accelerator == accelerator::TCG && machine.arch == "amd64" {
        "no_timer_check "
    } else {
        ""
    };
    match (rootfs::detect(&machine.name), machine.name.is_file()) {
        (Some(root), _) => arguments.extend(rootfs::arguments(&root, kernel_arguments)),
        (None, true) => arguments.extend(boot_disk::arguments(machine, qemu)?),
        (None, false) => arguments.extend(kernel(&machine.name, kernel_arguments)?),
    }
    if let Some(data) = data {
        arguments.extend(boot_disk::cdrom("data", "", &machine.arch, data)?);
    }
    Ok(arguments)
}

/// Returns QEMU's arguments for kernel, initrd and kernel command line, after further ones.
fn kernel(name: &Path, first: &str) -> Result<Vec<OsString>, Error> {
    let kernel = with_suffix(name, "-kernel");
    if !kernel.exists() {
        return Err(Error::NoKernel {
            kernel,
            name: name.to_owned(),
        });
    }
    let initrd = with_suffix(name, "-initrd.img");
    if !initrd.exists() {
        return Err(Error::NoInitrd {
            initrd,
            beside: rootfs::beside(name),
        });
    }
    let cmdline = rootfs::cmdline(&with_suffix(name, "-cmdline"));
    Ok(vec![
        "-kernel".into(),
        kernel.into(),
        "-initrd".into(),
        initrd.into(),
        "-append".into(),
        format!("{first}{cmdline}").into(),
    ])
}
