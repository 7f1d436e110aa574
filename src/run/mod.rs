//! Booting the outputs of `moby build` in QEMU.

mod accelerator;
mod arguments;
mod boot_disk;
mod check;
mod console;
mod data;
mod error;
mod expect;
mod guest;
mod monitor;
pub(crate) mod parent;
mod qemu;
mod rootfs;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use console::Symptom;
pub use data::Data;
pub use error::Error;
pub use expect::{Page, PageError, parse_page};

use crate::reporter::Reporter;
use expect::Pending;
use guest::{Ending, Watch};
use qemu::Qemu;

/// A machine to boot.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Common name of the files of a build with kernel and initrd, or the file of a disk or an
    /// ISO image.
    pub name: PathBuf,
    /// True if a disk or an ISO image boots by UEFI instead of BIOS.
    pub uefi: bool,
    /// True if an ISO image is attached as a disk, like a USB drive.
    pub usb: bool,
    /// Architecture as Go names it.
    pub arch: String,
    /// Number of CPUs.
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
    /// Accelerator, as `-accel` of QEMU takes it; chosen if absent.
    pub accel: Option<String>,
    /// Cache directory, which remembers an accelerator that failed.
    pub cache: Option<PathBuf>,
    /// Texts that the console is expected to show. When everything expected was seen, the run ends.
    pub expected_texts: Vec<String>,
    /// Pages that the machine is expected to serve.
    pub expected_pages: Vec<Page>,
    /// Maximum time that the machine runs.
    pub timeout: Option<Duration>,
    /// File for the console's output.
    pub serial_log: Option<PathBuf>,
}

/// Runs a machine on this terminal until it ends, or until everything expected of it was seen.
///
/// If no accelerator was requested and the guest fails as under a broken one, restarts it under TCG, unless
/// it has written to its disks.
///
/// # Errors
/// Missing or unusable files, a port in use, no QEMU, a guest that failed under its accelerator,
/// a QEMU that ends with a status other than 0, and a machine that ends or is out of time before
/// everything expected was seen.
pub fn run(machine: &Machine, reporter: &dyn Reporter) -> Result<(), Error> {
    let qemu = qemu::qemu(&machine.arch)?;
    check::inputs(machine)?;
    let machine = &Machine {
        publish: expect::publish(machine).map_err(Error::NoPort)?,
        ..machine.clone()
    };
    // Removed when the machine has ended.
    let data = machine.data.as_ref().map(Data::write_iso).transpose()?;
    // Missing files are reported whether or not QEMU is installed.
    arguments::arguments(machine, qemu, accelerator::TCG, data.as_deref())?;
    let program = qemu.find()?;
    if let Some(log) = &machine.serial_log {
        File::create(log).map_err(|source| Error::Write {
            path: log.clone(),
            source,
        })?;
    }
    let session = Session {
        machine,
        qemu,
        program,
        data: data.as_deref(),
        deadline: machine.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
    };
    session.run(reporter)
}

/// A machine with all that is needed to start it.
struct Session<'a> {
    machine: &'a Machine,
    qemu: Qemu,
    program: PathBuf,
    data: Option<&'a Path>,
    deadline: Option<Instant>,
}

impl Session<'_> {
    fn run(&self, reporter: &dyn Reporter) -> Result<(), Error> {
        let machine = self.machine;
        if let Some(accelerator) = &machine.accel {
            return self.start(accelerator, true);
        }
        let accelerator = if self.qemu.is_native {
            accelerator::choose(&self.program, machine, self.qemu)
        } else {
            accelerator::TCG
        };
        match self.start(accelerator, false) {
            Err(Error::Guest { symptom, written, .. }) => {
                let is_remembered = accelerator::remember(machine.cache.as_deref(), accelerator, symptom);
                if written && !machine.disks.is_empty() {
                    return Err(Error::Written {
                        accelerator: accelerator.to_owned(),
                        symptom,
                    });
                }
                let later = if is_remembered {
                    format!("Runs on this host use TCG until the next boot; `--accel {accelerator}` overrides that")
                } else {
                    "To use TCG at once, pass `--accel tcg`".to_owned()
                };
                reporter.warn(&format!(
                    "the guest failed under the accelerator {accelerator}: {symptom}; restarting it under TCG. {later}"
                ));
                self.start(accelerator::TCG, false)
            }
            result => result,
        }
    }

    /// Runs the machine under an accelerator.
    fn start(&self, accelerator: &str, registers: bool) -> Result<(), Error> {
        let machine = self.machine;
        let program = self.qemu.program;
        let arguments = arguments::arguments(machine, self.qemu, accelerator, self.data)?;
        let failed = |source| Error::Start { program, source };
        let mut pending = Pending::new(machine);
        let has_end = !pending.is_empty() || machine.timeout.is_some() || machine.serial_log.is_some();
        if is_emulation(accelerator) && !has_end {
            let status = guest::run(&self.program, &arguments).map_err(failed)?;
            return check::status(program, status);
        }
        let watch = Watch {
            accelerated: !is_emulation(accelerator),
            has_console: !machine.gui,
            registers,
            pages: machine.forwarded_pages(),
            log: machine.serial_log.as_deref(),
            deadline: self.deadline,
        };
        let ending = guest::watch(&self.program, &arguments, &watch, &mut pending).map_err(failed)?;
        let ended = |reason| {
            if pending.is_empty() {
                return Ok(());
            }
            let pending = pending.describe();
            Err(Error::Ended { reason, pending })
        };
        match ending {
            Ending::Met => Ok(()),
            Ending::Off => ended("the machine was powered off or reset"),
            Ending::Panicked => ended("the kernel panicked"),
            Ending::Exited(status) => check::status(program, status).and_then(|()| ended("QEMU was ended")),
            Ending::TimedOut => Err(Error::Timeout {
                timeout: machine.timeout.unwrap_or_default(),
                pending: pending.describe(),
            }),
            Ending::Failed { symptom, written } => Err(Error::Guest {
                accelerator: accelerator.to_owned(),
                symptom,
                written,
            }),
        }
    }
}

impl Machine {
    /// Returns the pages with the ports of the host to which they are forwarded.
    fn forwarded_pages(&self) -> Vec<(u16, Page)> {
        let host = |page: &Page| self.publish.iter().find(|(_, guest)| *guest == page.port);
        let pages = self.expected_pages.iter();
        pages.filter_map(|page| Some((host(page)?.0, page.clone()))).collect()
    }
}

fn is_emulation(accelerator: &str) -> bool {
    accelerator.split(',').next() == Some(accelerator::TCG)
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
