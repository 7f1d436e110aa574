//! `moby run`.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, host_arch};
use crate::run::{self, Data, Machine};

/// The arguments of `moby run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The name of a build with kernel and initrd, or the file of a disk or a CD
    name: PathBuf,
    /// Start a disk or a CD by UEFI instead of a BIOS
    #[arg(long)]
    uefi: bool,
    /// Attach the file of a CD as a disk, as if it were on a USB stick
    #[arg(long)]
    stick: bool,
    /// How many processors
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 1024)]
    mem: u32,
    /// A disk image for the machine; may be given several times
    #[arg(long)]
    disk: Vec<PathBuf>,
    /// A text for the machine, in the file `config` of a CD
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// A file for the machine, as `config` of a CD
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    data_file: Option<PathBuf>,
    /// Forward a TCP port of the host, HOST:GUEST
    #[arg(long, value_parser = run::parse_publish)]
    publish: Vec<(u16, u16)>,
    /// The architecture
    #[arg(long, default_value = host_arch())]
    arch: String,
    /// How QEMU accelerates: kvm, hvf, tcg [default: what works]
    #[arg(long)]
    accel: Option<String>,
    /// Show the machine's screen in a window
    #[arg(long)]
    gui: bool,
}

impl Run {
    pub fn run(self) -> Result<(), Failure> {
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
        };
        run::run(&machine).map_err(Failure::work)
    }
}
