//! `moby run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::terminal::TerminalReporter;
use super::{Failure, host_arch};
use crate::diagnostic::Diagnostic;
use crate::run::{self, Data, Machine, Page};

/// Arguments of `moby run`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
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
    /// Architecture of the machine: amd64 or arm64 [default: the host's]
    #[arg(long, default_value = host_arch(), hide_default_value = true)]
    arch: String,
    /// QEMU accelerator: kvm, hvf, whpx or tcg [default: the host's; tcg after a guest has failed under
    /// it]
    #[arg(long)]
    accel: Option<String>,
    /// Show the machine's screen in a window
    #[arg(long)]
    gui: bool,
    /// End the run with status 0 when the console has shown TEXT; repeatable: all must appear, in any order
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new(), help_heading = TEST)]
    expect: Vec<String>,
    /// End the run with status 0 when this TCP port of the machine answers a GET request with a status from
    /// 200 to 399; repeatable, also with --expect: everything must be seen. Needs no --publish
    #[arg(long, value_name = "PORT[/PATH]", value_parser = run::parse_page, help_heading = TEST)]
    expect_http: Vec<Page>,
    /// End the run after this many seconds, with status 3 [default: 300 with --expect or --expect-http,
    /// else none]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..), help_heading = TEST)]
    timeout: Option<u32>,
    /// Write the console's output to this file too
    #[arg(long, value_name = "FILE", help_heading = TEST)]
    serial_log: Option<PathBuf>,
}

/// Heading of the options for tests.
const TEST: &str = "Test options";
/// Seconds after which a run ends that expects something.
const TEST_TIMEOUT: u32 = 300;
/// The end of the help.
const AFTER_HELP: &str = "\
Exit status:
  0  the machine ended; with --expect or --expect-http: everything expected was seen
  1  the machine could not be started, or QEMU failed
  2  the command line is invalid
  3  the time was up
  4  the machine ended before everything expected was seen";

impl Run {
    pub fn run(self, cache: Option<PathBuf>, reporter: &TerminalReporter) -> Result<(), Failure> {
        let is_test = !self.expect.is_empty() || !self.expect_http.is_empty();
        let timeout = self.timeout.or(is_test.then_some(TEST_TIMEOUT));
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
            expected_texts: self.expect,
            expected_pages: self.expect_http,
            timeout: timeout.map(|seconds| Duration::from_secs(seconds.into())),
            serial_log: self.serial_log,
        };
        run::run(&machine, reporter).map_err(|error| {
            let mut diagnostic = Diagnostic::error(error.to_string());
            diagnostic.help.extend(error.help());
            Failure::Run(diagnostic.into(), error.status())
        })
    }
}
