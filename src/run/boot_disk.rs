//! Disks and ISO images that firmware boots.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::qemu::Qemu;
use super::{Error, Machine};

/// Returns QEMU's arguments for firmware and boot disk. QEMU keeps the guest's changes apart from the
/// file, and drops them in the end.
pub fn arguments(machine: &Machine, qemu: Qemu) -> Result<Vec<OsString>, Error> {
    let mut arguments: Vec<OsString> = Vec::new();
    if machine.uefi || machine.arch != "amd64" {
        let (code, variables) = qemu.firmware()?;
        let flash = |unit: u32, mode: &str, path: &Path| {
            let file = value(path)?;
            Ok::<_, Error>(OsString::from(format!(
                "if=pflash,unit={unit},format=raw,{mode}=on,file={file}"
            )))
        };
        arguments.extend(["-drive".into(), flash(0, "readonly", &code)?]);
        arguments.extend(["-drive".into(), flash(1, "snapshot", &variables)?]);
    }
    let is_iso = machine
        .name
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("iso"));
    if is_iso && !machine.usb {
        arguments.extend(cdrom("boot", ",bootindex=0", &machine.arch, &machine.name)?);
        return Ok(arguments);
    }
    let (format, file) = (format(&machine.name), value(&machine.name)?);
    if format == "raw" && !has_boot_record(&machine.name) {
        let is_yaml = machine
            .name
            .extension()
            .is_some_and(|extension| extension == "yml" || extension == "yaml");
        let error = if is_yaml { Error::Yaml } else { Error::NoBootRecord };
        return Err(error(machine.name.clone()));
    }
    let drive = format!("id=boot,if=none,snapshot=on,format={format},file={file}");
    let device = "virtio-blk-pci,drive=boot,bootindex=0";
    arguments.extend(["-drive".into(), drive.into(), "-device".into(), device.into()]);
    Ok(arguments)
}

/// Returns QEMU's arguments for an optical drive with an ISO image: IDE on a PC, else SCSI.
pub fn cdrom(id: &str, options: &str, arch: &str, path: &Path) -> Result<Vec<OsString>, Error> {
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

/// Returns QEMU's name for a disk image format, by the extension of the file. QEMU refuses writes to
/// the start of a disk whose format it has to guess.
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

/// Returns whether a disk has the signature of a master boot record, which a GPT disk has too (UEFI 2.10,
/// 5.2.1).
fn has_boot_record(path: &Path) -> bool {
    let mut sector = [0; 512];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut sector));
    read.is_ok() && sector.ends_with(&[0x55, 0xaa])
}

/// Quotes a path for an option of QEMU's, where a comma is doubled.
pub fn value(path: &Path) -> Result<String, Error> {
    let text = path.to_str().ok_or_else(|| Error::NotUtf8(path.to_owned()))?;
    Ok(text.replace(',', ",,"))
}
