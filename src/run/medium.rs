//! A machine that is started from a disk or a CD by its firmware.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Machine;

/// Where distributions put UEFI: its code, and the variables that it begins with.
const X64: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    (
        "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
        "/opt/homebrew/share/qemu/edk2-i386-vars.fd",
    ),
    (
        "/usr/local/share/qemu/edk2-x86_64-code.fd",
        "/usr/local/share/qemu/edk2-i386-vars.fd",
    ),
];
const AA64: &[(&str, &str)] = &[
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    (
        "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
        "/opt/homebrew/share/qemu/edk2-arm-vars.fd",
    ),
    (
        "/usr/local/share/qemu/edk2-aarch64-code.fd",
        "/usr/local/share/qemu/edk2-arm-vars.fd",
    ),
];

/// The arguments for firmware and medium. Nothing is written to the file: what the machine
/// changes is gone when it ends.
pub fn arguments(machine: &Machine) -> Result<Vec<OsString>, String> {
    let mut arguments: Vec<OsString> = Vec::new();
    if machine.uefi || machine.arch != "amd64" {
        let (code, variables) = firmware(&machine.arch)?;
        let flash = |unit: u32, how: &str, path: &Path| {
            let file = path.display().to_string().replace(',', ",,");
            OsString::from(format!("if=pflash,unit={unit},format=raw,{how}=on,file={file}"))
        };
        arguments.extend(["-drive".into(), flash(0, "readonly", &code)]);
        arguments.extend(["-drive".into(), flash(1, "snapshot", &variables)]);
    }
    let path = machine.name.to_str();
    let path = path.ok_or_else(|| format!("{} is not UTF-8", machine.name.display()))?;
    let extension = machine
        .name
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let (cd, format) = match extension.as_str() {
        "iso" => (!machine.stick, "raw"),
        "qcow2" | "vmdk" | "vhdx" | "vdi" => (false, extension.as_str()),
        "vhd" => (false, "vpc"),
        _ => (false, "raw"),
    };
    let media = if cd {
        "media=cdrom,if=none,readonly=on"
    } else {
        "if=none,snapshot=on"
    };
    let device = match (cd, machine.arch.as_str()) {
        (true, "amd64") => "ide-cd,drive=boot,bootindex=0",
        (true, _) => "scsi-cd,drive=boot,bootindex=0",
        (false, _) => "virtio-blk-pci,drive=boot,bootindex=0",
    };
    if cd && machine.arch != "amd64" {
        arguments.extend(["-device".into(), "virtio-scsi-pci".into()]);
    }
    let drive = format!("id=boot,{media},format={format},file={}", path.replace(',', ",,"));
    arguments.extend(["-drive".into(), drive.into(), "-device".into(), device.into()]);
    Ok(arguments)
}

/// UEFI for an architecture.
fn firmware(arch: &str) -> Result<(PathBuf, PathBuf), String> {
    let (known, package) = match arch {
        "arm64" => (AA64, "qemu-efi-aarch64"),
        _ => (X64, "ovmf"),
    };
    let found = known
        .iter()
        .find(|(code, variables)| Path::new(code).is_file() && Path::new(variables).is_file());
    found
        .map(|(code, variables)| (code.into(), variables.into()))
        .ok_or_else(|| format!("there is no UEFI firmware for {arch} in the usual places\nhelp: on Debian: apt-get install {package}; on macOS it comes with qemu"))
}
