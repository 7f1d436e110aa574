//! A machine that is started from a disk or a CD by its firmware.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
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
            let file = value(path)?;
            Ok::<_, String>(OsString::from(format!(
                "if=pflash,unit={unit},format=raw,{how}=on,file={file}"
            )))
        };
        arguments.extend(["-drive".into(), flash(0, "readonly", &code)?]);
        arguments.extend(["-drive".into(), flash(1, "snapshot", &variables)?]);
    }
    let is_iso = machine
        .name
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("iso"));
    if is_iso && !machine.stick {
        arguments.extend(cd("boot", ",bootindex=0", &machine.arch, &machine.name)?);
        return Ok(arguments);
    }
    let (format, file) = (format(&machine.name), value(&machine.name)?);
    if format == "raw" && !has_boot_record(&machine.name) {
        return Err(format!(
            "{0} is no disk that a machine starts from: it has no boot record\nhelp: `moby inspect {0}` says what it is",
            machine.name.display()
        ));
    }
    let drive = format!("id=boot,if=none,snapshot=on,format={format},file={file}");
    let device = "virtio-blk-pci,drive=boot,bootindex=0";
    arguments.extend(["-drive".into(), drive.into(), "-device".into(), device.into()]);
    Ok(arguments)
}

/// The arguments for a CD: on a PC an IDE one, else one of SCSI.
pub fn cd(id: &str, options: &str, arch: &str, path: &Path) -> Result<Vec<OsString>, String> {
    let mut arguments: Vec<OsString> = Vec::new();
    let device = match arch {
        "amd64" => "ide-cd",
        _ => {
            arguments.extend(["-device".into(), format!("virtio-scsi-pci,id={id}-bus").into()]);
            "scsi-cd"
        }
    };
    let drive = format!(
        "id={id},media=cdrom,if=none,readonly=on,format=raw,file={}",
        value(path)?
    );
    let bus = if device == "scsi-cd" {
        format!(",bus={id}-bus.0")
    } else {
        String::new()
    };
    let device = format!("{device},drive={id}{bus}{options}");
    arguments.extend(["-drive".into(), drive.into(), "-device".into(), device.into()]);
    Ok(arguments)
}

/// What QEMU calls the format of a file, by the end of its name. It does not write the start of
/// a disk whose format it has to guess.
pub fn format(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension.as_str() {
        "qcow2" => "qcow2",
        "vmdk" => "vmdk",
        "vhdx" => "vhdx",
        "vdi" => "vdi",
        "vhd" => "vpc",
        _ => "raw",
    }
}

/// Whether a disk begins as all do that firmware starts (UEFI 2.10, 5.2.1: the signature of the
/// master boot record, which a GPT has too).
fn has_boot_record(path: &Path) -> bool {
    let mut sector = [0; 512];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut sector));
    read.is_ok() && sector.ends_with(&[0x55, 0xaa])
}

/// A path in a value of QEMU's, where a comma is written twice.
pub fn value(path: &Path) -> Result<String, String> {
    let text = path
        .to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.replace(',', ",,"))
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
