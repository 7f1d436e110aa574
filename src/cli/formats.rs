//! `moby formats`.

use clap::Args;

use super::Failure;
use crate::plan::formats::FORMATS;

/// The arguments of `moby formats`.
#[derive(Debug, Args)]
pub struct Formats {
    /// Print only the names, one per line
    #[arg(long)]
    names: bool,
}

impl Formats {
    pub fn run(&self) -> Result<(), Failure> {
        let lines = FORMATS.iter().map(|format| {
            if self.names {
                return format!("{}\n", format.name);
            }
            let files = format.files.iter().map(|suffix| format!("NAME{suffix}"));
            let files: Vec<String> = files.collect();
            let arches: Vec<_> = format.arches.iter().map(|arch| arch.name()).collect();
            let arches = arches.join(",");
            format!(
                "{:<18} {:<46} {:<26} {}\n",
                format.name,
                format.about,
                arches,
                files.join(" ")
            )
        });
        super::print(&lines.collect::<String>())
    }
}
