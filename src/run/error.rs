//! Errors of `moby run`.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

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
        /// The program.
        program: &'static str,
        /// Debian's package with the program.
        package: &'static str,
    },
    /// QEMU cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// QEMU ended with a status other than 0.
    #[error("{program} ended with {status}")]
    Status {
        /// The program.
        program: &'static str,
        /// Exit status.
        status: ExitStatus,
    },
    /// A guest that failed under an accelerator that was asked for.
    #[error("the guest failed under the accelerator {accelerator}: {symptom}")]
    Guest {
        /// The accelerator.
        accelerator: String,
        /// The observed failure.
        symptom: Symptom,
    },
    /// A guest that failed under an accelerator, after it had perhaps written to its disks.
    #[error(
        "the guest failed under the accelerator {accelerator}: {symptom}; it may have written to its disks, which may be inconsistent, as after a power failure"
    )]
    Written {
        /// The accelerator.
        accelerator: String,
        /// The observed failure.
        symptom: Symptom,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
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
        /// The port.
        port: u16,
        /// The cause.
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
        /// The kernel.
        kernel: PathBuf,
        /// The name that was given.
        name: PathBuf,
    },
    /// A kernel without an initrd.
    #[error("{} does not exist", initrd.display())]
    NoInitrd {
        /// The initrd.
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
        /// The architecture.
        arch: String,
        /// Debian's package with the firmware.
        package: &'static str,
    },
    /// An ISO image with the data that cannot be planned.
    #[error("cannot make an ISO image of the data: {0}")]
    Data(#[from] iso9660::Error),
    /// A temporary file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Error {
    /// Returns the remedies, each one command or edit.
    pub fn help(&self) -> Vec<String> {
        let help = match self {
            Error::NoQemu { package, .. } => {
                return vec![
                    format!("on Debian, run `apt-get install {package}`"),
                    "on macOS, run `brew install qemu`".into(),
                    "on Windows, run the installer from qemu.org and add its directory to PATH".into(),
                ];
            }
            Error::Guest { .. } => "pass `--accel tcg`, which emulates the CPU and works on every host".into(),
            Error::Written { .. } => {
                return vec![
                    "run it again: moby uses TCG on this host until the next boot".into(),
                    "to keep the disks as they are now, copy them first".into(),
                ];
            }
            Error::NoDisk(path) => format!("create an empty raw disk with `truncate -s 1G {}`", path.with_extension("img").display()),
            Error::SameDisk(_) => "attach each disk once, and do not attach the boot disk".into(),
            Error::Port { .. } => "stop the program that uses the port (`ss -ltnp` lists programs), or publish another port".into(),
            Error::NoBootRecord(path) => format!("to see its content, run `moby inspect {}`", path.display()),
            Error::Yaml(path) => format!(
                "run `moby build {}`, then `moby run {}`",
                path.display(),
                path.file_stem().unwrap_or_default().to_string_lossy()
            ),
            Error::NoKernel { .. } => {
                "build it with `moby build -f kernel+initrd`, or pass the name of a build without `-kernel`, or a disk or ISO image".into()
            }
            Error::NoInitrd { beside: Some(image), .. } => {
                format!("boot the root filesystem image of that name with `moby run {}`", image.display())
            }
            Error::NoInitrd { beside: None, .. } => "build it with `moby build -f kernel+initrd`".into(),
            Error::NoFirmware { package, .. } => {
                return vec![
                    format!("on Debian, run `apt-get install {package}`"),
                    "on macOS, run `brew install qemu`, which includes the firmware".into(),
                ];
            }
            _ => return Vec::new(),
        };
        vec![help]
    }
}
