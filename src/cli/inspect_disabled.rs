//! `moby inspect` of a moby that was compiled without the feature `inspect`.

use std::ffi::OsString;

use clap::Args;

use super::{Environment, Failure};
use crate::diagnostic::Diagnostic;
use crate::reporter::Reporter;

/// Arguments of `moby inspect`, which are not read.
#[derive(Debug, Args)]
pub struct Inspect {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

impl Inspect {
    pub fn run(self, _: &Environment, _: &dyn Reporter) -> Result<(), Failure> {
        let _ = self.arguments;
        let missing = Diagnostic::error("cannot inspect files: this moby was compiled without the feature `inspect`");
        let help = "in moby's source tree, run `cargo build --release --features inspect`";
        Err(Failure::Usage(missing.help(help).into()))
    }
}
