//! `moby run`.

use std::path::PathBuf;

use clap::Args;

use super::report::Report;
use super::{Failure, host_arch};
use crate::diagnostic::Diagnostic;
use crate::run::{self, Data, Machine};

/// The arguments of `moby run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Name of a build with kernel and initrd, or a disk, ISO or root filesystem image
    name: PathBuf,
    /// Boot a disk or an ISO image by UEFI instead of BIOS
    #[arg(long)]
    uefi: bool,
    /// Attach an ISO image as a USB drive
    #[arg(long)]
    stick: bool,
    /// Number of CPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    cpus: u32,
    /// Memory, such as 512M or 2G; a plain number is in MiB
    #[arg(long, value_name = "SIZE", default_value = "1024", value_parser = run::parse_memory)]
    mem: u32,
    /// Attach a disk image; repeatable
    #[arg(long, value_name = "FILE")]
    disk: Vec<PathBuf>,
    /// Give the machine a text, as the file `config` of an ISO image
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// Give the machine a file, as `config` of an ISO image
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    data_file: Option<PathBuf>,
    /// Forward a TCP port of this host to the machine; repeatable
    #[arg(long, value_name = "HOST:GUEST", value_parser = run::parse_publish)]
    publish: Vec<(u16, u16)>,
    /// Architecture of the machine [default: the host's]
    #[arg(long, default_value = host_arch(), hide_default_value = true)]
    arch: String,
    /// QEMU's accelerator: kvm, hvf, whpx or tcg [default: the host's, or tcg where guests fail
    /// under it]
    #[arg(long)]
    accel: Option<String>,
    /// Show the machine's screen in a window
    #[arg(long)]
    gui: bool,
}

impl Run {
    pub fn run(self, cache: Option<PathBuf>, report: &Report) -> Result<(), Failure> {
        let machine = Machine {
            name: self.name,
            uefi: self.uefi,
            stick: self.stick,
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
        run::run(&machine, report).map_err(|error| {
            let mut diagnostic = Diagnostic::error(error.to_string());
            diagnostic.help.extend(error.help());
            Failure::Work(diagnostic.into())
        })
    }
}
