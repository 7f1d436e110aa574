//! `moby completion`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Failure, Moby};

/// Arguments of `moby completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// bash, elvish, fish, powershell or zsh
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

impl Completion {
    pub fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Moby::command(), "moby", &mut script);
        super::print(&String::from_utf8_lossy(&script))
    }
}
