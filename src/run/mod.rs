//! Booting the outputs of `moby build` in QEMU.

mod accelerator;
mod arguments;
mod boot_disk;
mod check;
mod console;
mod data;
mod error;
mod guest;
mod monitor;
pub(crate) mod parent;
mod rootfs;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use console::Symptom;
pub use data::Data;
pub use error::Error;
use guest::{Ending, Watch};

use crate::reporter::Reporter;

/// A machine to boot.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The common name of the files of a build with kernel and initrd, or the file of a disk or an
    /// ISO image.
    pub name: PathBuf,
    /// True if a disk or an ISO image boots by UEFI instead of BIOS.
    pub uefi: bool,
    /// True if an ISO image is attached as a disk, like a USB drive.
    pub usb: bool,
    /// The architecture as Go names it.
    pub arch: String,
    /// The number of CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub mem: u32,
    /// Disk images to attach.
    pub disks: Vec<PathBuf>,
    /// Data that the machine finds in an ISO image.
    pub data: Option<Data>,
    /// TCP ports of the host and of the guest.
    pub publish: Vec<(u16, u16)>,
    /// True if the machine's screen is shown in a window.
    pub gui: bool,
    /// The accelerator, as `-accel` of QEMU takes it; chosen if absent.
    pub accel: Option<String>,
    /// The cache directory, which remembers an accelerator that failed.
    pub cache: Option<PathBuf>,
}

/// Runs a machine on this terminal until it ends.
///
/// If no accelerator was requested and the guest fails as under a broken one, restarts it under TCG, unless
/// it has written to its disks.
///
/// # Errors
/// Missing or unusable files, a port in use, no QEMU, a guest that failed under its accelerator,
/// and a QEMU that ends with a status other than 0.
pub fn run(machine: &Machine, reporter: &dyn Reporter) -> Result<(), Error> {
    let qemu = arguments::qemu(&machine.arch)?;
    check::inputs(machine)?;
    // Removed when the machine has ended.
    let data = machine.data.as_ref().map(Data::write_iso).transpose()?;
    let arguments = |accelerator: &str| arguments::arguments(machine, qemu, accelerator, data.as_deref());
    // Missing files are reported whether or not QEMU is installed.
    arguments(accelerator::TCG)?;
    check::installed(qemu)?;
    let Some(accelerator) = &machine.accel else {
        return run_automatically(machine, qemu, &arguments, reporter);
    };
    if is_emulation(accelerator) {
        return emulate(qemu.program, &arguments(accelerator)?);
    }
    let watch = Watch {
        has_console: !machine.gui,
        registers: true,
    };
    match guest::watch(qemu.program, &arguments(accelerator)?, watch).map_err(start_error(qemu.program))? {
        Ending::Failed { symptom, .. } => Err(Error::Guest {
            accelerator: accelerator.clone(),
            symptom,
        }),
        Ending::Exited(status) => check::status(qemu.program, status),
        Ending::Off => Ok(()),
    }
}

/// Runs a machine under the host's accelerator if it works, else under TCG.
fn run_automatically(
    machine: &Machine,
    qemu: arguments::Qemu,
    arguments: &dyn Fn(&str) -> Result<Vec<OsString>, Error>,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let cache = machine.cache.as_deref();
    let accelerator = if qemu.is_native {
        accelerator::choose(qemu.program, qemu.machine, cache)
    } else {
        accelerator::TCG
    };
    if is_emulation(accelerator) {
        return emulate(qemu.program, &arguments(accelerator)?);
    }
    let watch = Watch {
        has_console: !machine.gui,
        registers: false,
    };
    match guest::watch(qemu.program, &arguments(accelerator)?, watch).map_err(start_error(qemu.program))? {
        Ending::Exited(status) => check::status(qemu.program, status),
        Ending::Off => Ok(()),
        Ending::Failed { symptom, written } => {
            accelerator::remember(cache, accelerator, symptom);
            if written && !machine.disks.is_empty() {
                return Err(Error::Written {
                    accelerator: accelerator.to_owned(),
                    symptom,
                });
            }
            reporter.warn(&format!(
                "the guest failed under the accelerator {accelerator}: {symptom}; restarting it under TCG. Runs on this host use TCG until the next boot; `--accel {accelerator}` overrides that"
            ));
            emulate(qemu.program, &arguments(accelerator::TCG)?)
        }
    }
}

/// Runs a machine that nothing has to watch.
fn emulate(program: &'static str, arguments: &[OsString]) -> Result<(), Error> {
    let status = guest::run(program, arguments).map_err(start_error(program))?;
    check::status(program, status)
}

fn is_emulation(accelerator: &str) -> bool {
    accelerator.split(',').next() == Some(accelerator::TCG)
}

fn start_error(program: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Start { program, source }
}

/// Parses `HOST:GUEST`, two TCP ports other than 0.
///
/// # Errors
/// A text of another form.
pub fn parse_publish(text: &str) -> Result<(u16, u16), PublishError> {
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
    let ports = text.trim_end_matches("/tcp").split_once(':');
    let ports = ports.and_then(|(host, guest)| Some((port(host)?, port(guest)?)));
    ports.ok_or(PublishError)
}

/// A text that is not a pair of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:GUEST, two port numbers from 1 to 65535")]
pub struct PublishError;

/// Parses an amount of memory: a number of MiB, or a number with M or G.
///
/// # Errors
/// A text of another form, and 0.
pub fn parse_memory(text: &str) -> Result<u32, MemoryError> {
    let (digits, unit) = match text.trim_end_matches(['b', 'B', 'i']) {
        text if text.ends_with(['m', 'M']) => (text.get(..text.len() - 1), 1),
        text if text.ends_with(['g', 'G']) => (text.get(..text.len() - 1), 1024),
        text => (Some(text), 1),
    };
    let number = digits.and_then(|digits| digits.parse::<u32>().ok());
    let mebibytes = number.and_then(|number| number.checked_mul(unit));
    mebibytes.filter(|mebibytes| *mebibytes > 0).ok_or(MemoryError)
}

/// A text that is not an amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of MiB, or a number with a unit, such as 512M or 2G")]
pub struct MemoryError;

/// Returns the path of a build's file with a suffix.
fn with_suffix(name: &Path, suffix: &str) -> PathBuf {
    let mut path = name.to_owned().into_os_string();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_in_pairs() {
        assert_eq!(parse_publish("8080:80"), Ok((8080, 80)));
        assert_eq!(parse_publish("8080:80/tcp"), Ok((8080, 80)));
        for text in ["80", "a:b", "0:80", "80:0", "1:65536"] {
            assert_eq!(parse_publish(text), Err(PublishError), "{text}");
        }
    }

    #[test]
    fn memory_has_a_unit() {
        for (text, mebibytes) in [("512", 512), ("512M", 512), ("2G", 2048), ("1GiB", 1024), ("2gb", 2048)] {
            assert_eq!(parse_memory(text), Ok(mebibytes), "{text}");
        }
        for text in ["", "0", "G", "1T", "-1", "5000000G"] {
            assert_eq!(parse_memory(text), Err(MemoryError), "{text}");
        }
    }
}
