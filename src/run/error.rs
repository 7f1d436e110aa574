//! Errors of `moby run`.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::boot_disk;
use super::console::Symptom;

/// An error of `moby run`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An architecture that QEMU is not asked for here.
    #[error("moby run does not support the architecture {0}")]
    Arch(String),
    /// QEMU is not installed.
    #[error("{program} is not installed")]
    NoQemu {
        /// Program.
        program: &'static str,
        /// Remedies, each a command that installs it.
        install: Vec<String>,
    },
    /// QEMU cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Program.
        program: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// QEMU ended with a status other than 0.
    #[error("{program} ended with {status}")]
    Status {
        /// Program.
        program: &'static str,
        /// Exit status.
        status: ExitStatus,
    },
    /// A guest that failed under an accelerator that was asked for.
    #[error("the guest failed under the accelerator {accelerator}: {symptom}")]
    Guest {
        /// Accelerator.
        accelerator: String,
        /// Observed failure.
        symptom: Symptom,
        /// True if the guest has, or may have, written to its disks.
        written: bool,
    },
    /// A guest that failed under an accelerator, after it had perhaps written to its disks.
    #[error(
        "the guest failed under the accelerator {accelerator}: {symptom}; it may have written to its disks, which may be inconsistent, as after a power failure"
    )]
    Written {
        /// Accelerator.
        accelerator: String,
        /// Observed failure.
        symptom: Symptom,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A disk image that does not exist.
    #[error("the disk {} does not exist", .0.display())]
    NoDisk(PathBuf),
    /// A disk image that is attached twice, or is the boot disk as well.
    #[error("the disk {} is attached twice", .0.display())]
    SameDisk(PathBuf),
    /// A port of the host that cannot be listened on.
    #[error("cannot publish port {port} of this host: {source}")]
    Port {
        /// Port.
        port: u16,
        /// Cause.
        source: io::Error,
    },
    /// A file that no firmware boots.
    #[error("cannot boot {}: it has no boot record", .0.display())]
    NoBootRecord(PathBuf),
    /// A YAML in place of an image.
    #[error("cannot boot {}: it is a YAML file", .0.display())]
    Yaml(PathBuf),
    /// A name without a kernel, and without a disk image of that name.
    #[error("{} does not exist, and neither does {}", kernel.display(), name.display())]
    NoKernel {
        /// Kernel.
        kernel: PathBuf,
        /// Name that was given.
        name: PathBuf,
    },
    /// A kernel without an initrd.
    #[error("{} does not exist", initrd.display())]
    NoInitrd {
        /// Initrd.
        initrd: PathBuf,
        /// A root filesystem image of that name, which boots without it.
        beside: Option<PathBuf>,
    },
    /// A path that QEMU cannot be given.
    #[error("the path {} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// No UEFI firmware for an architecture.
    #[error("no UEFI firmware for {arch} is installed")]
    NoFirmware {
        /// Architecture.
        arch: &'static str,
        /// Remedies, each a command that installs it.
        install: Vec<String>,
    },
    /// No port of the host for an expected page.
    #[error("cannot find a free port on this host: {0}")]
    NoPort(#[source] io::Error),
    /// A machine that ended before everything expected was seen.
    #[error("{reason} before everything expected was seen: {}", pending.join("; "))]
    Ended {
        /// End of the machine.
        reason: &'static str,
        /// Descriptions of what was not seen.
        pending: Vec<String>,
    },
    /// A machine whose time was up.
    #[error("the machine was stopped after {} s{}", timeout.as_secs(), before(pending))]
    Timeout {
        /// Time.
        timeout: Duration,
        /// Descriptions of what was not seen.
        pending: Vec<String>,
    },
    /// An ISO image with the data that cannot be planned.
    #[error("cannot make an ISO image of the data: {0}")]
    Data(#[from] iso9660::Error),
    /// A temporary file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Formats what was not seen, to follow the reason.
fn before(pending: &[String]) -> String {
    if pending.is_empty() {
        return String::new();
    }
    format!(": {}", pending.join("; "))
}

impl Error {
    /// Returns the exit status of `moby run`.
    pub fn status(&self) -> u8 {
        match self {
            Error::Timeout { .. } => 3,
            Error::Ended { .. } => 4,
            _ => 1,
        }
    }

    /// Returns the remedies, each one command or edit.
    pub fn help(&self) -> Vec<String> {
        let help = match self {
            Error::NoQemu { install, .. } | Error::NoFirmware { install, .. } => return install.clone(),
            Error::Guest { .. } => "pass `--accel tcg`, which emulates the CPU and works on every host".into(),
            Error::Written { .. } => {
                return vec![
                    "run it again with `--accel tcg`".into(),
                    "to keep the disks as they are now, copy them first".into(),
                ];
            }
            Error::NoDisk(path) => match boot_disk::format(path) {
                "raw" => format!("create an empty disk with `truncate -s 1G {}`", path.display()),
                format => format!("create an empty disk with `qemu-img create -f {format} {} 1G`", path.display()),
            },
            Error::SameDisk(_) => "attach each disk once, and do not attach the boot disk".into(),
            Error::Port { .. } => "stop the program that uses the port (`ss -ltnp` lists programs), or publish another port".into(),
            Error::NoBootRecord(path) => format!("to see its content, run `moby inspect {}`", path.display()),
            Error::Yaml(path) => format!(
                "run `moby build {}`, then `moby run {}`",
                path.display(),
                path.file_stem().unwrap_or_default().to_string_lossy()
            ),
            Error::NoKernel { .. } => {
                "build it with `moby build -f kernel+initrd FILE.yml`, or pass the name of a build without `-kernel`, or a disk or ISO image".into()
            }
            Error::NoInitrd { beside: Some(image), .. } => {
                format!("boot the root filesystem image of that name with `moby run {}`", image.display())
            }
            Error::NoInitrd { beside: None, .. } => "build it with `moby build -f kernel+initrd FILE.yml`".into(),
            Error::Timeout { pending, .. } if !pending.is_empty() => {
                "pass a longer --timeout; a machine without KVM, HVF or WHPX is slow".into()
            }
            Error::Ended { .. } => "keep the console's output with --serial-log FILE, and read its end".into(),
            _ => return Vec::new(),
        };
        vec![help]
    }
}
