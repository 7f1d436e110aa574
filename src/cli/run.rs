//! `moby run`.

use std::path::PathBuf;

use clap::Args;

use super::terminal::TerminalReporter;
use super::{Failure, host_arch};
use crate::diagnostic::Diagnostic;
use crate::run::{self, Data, Machine};

/// The arguments of `moby run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Name of a build (the prefix of its -kernel and -initrd files), or a disk, ISO or root filesystem
    /// image
    name: PathBuf,
    /// Boot a disk or ISO image with UEFI instead of BIOS
    #[arg(long)]
    uefi: bool,
    /// Attach an ISO image as a USB drive
    #[arg(long, alias = "stick")]
    usb: bool,
    /// Number of CPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    cpus: u32,
    /// Memory, such as 512M or 2G; a plain number is in MiB
    #[arg(long, value_name = "SIZE", default_value = "1024", value_parser = run::parse_memory)]
    mem: u32,
    /// Attach a disk image; repeatable
    #[arg(long, value_name = "FILE")]
    disk: Vec<PathBuf>,
    /// Pass a text to the machine, as the file `config` on an ISO image
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// Pass a file to the machine, as `config` on an ISO image
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    data_file: Option<PathBuf>,
    /// Forward a TCP port of this host to the machine; repeatable
    #[arg(long, value_name = "HOST:GUEST", value_parser = run::parse_publish)]
    publish: Vec<(u16, u16)>,
    /// Architecture of the machine [default: the host's]
    #[arg(long, default_value = host_arch(), hide_default_value = true)]
    arch: String,
    /// QEMU accelerator: kvm, hvf, whpx or tcg [default: the host's; tcg after a guest has failed under
    /// it]
    #[arg(long)]
    accel: Option<String>,
    /// Show the machine's screen in a window
    #[arg(long)]
    gui: bool,
}

impl Run {
    pub fn run(self, cache: Option<PathBuf>, reporter: &TerminalReporter) -> Result<(), Failure> {
        let machine = Machine {
            name: self.name,
            uefi: self.uefi,
            usb: self.usb,
            arch: self.arch,
            cpus: self.cpus,
            mem: self.mem,
            disks: self.disk,
            data: self.data.map(Data::Text).or(self.data_file.map(Data::File)),
            publish: self.publish,
            gui: self.gui,
            accel: self.accel,
            cache,
        };
        run::run(&machine, reporter).map_err(|error| {
            let mut diagnostic = Diagnostic::error(error.to_string());
            diagnostic.help.extend(error.help());
            Failure::Work(diagnostic.into())
        })
    }
}
