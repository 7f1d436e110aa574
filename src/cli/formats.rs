//! `moby formats`.

use clap::Args;

use super::Failure;
use crate::plan::formats::{FORMATS, Format};

/// Arguments of `moby formats`.
#[derive(Debug, Args)]
pub struct Formats {
    /// Print only the names, one per line
    #[arg(long)]
    names: bool,
}

impl Formats {
    pub fn run(&self) -> Result<(), Failure> {
        if self.names {
            let names = FORMATS.iter().map(|format| format!("{}\n", format.name));
            return super::print(&names.collect::<String>());
        }
        let rows: Vec<_> = FORMATS.iter().map(row).collect();
        super::print(&super::table(
            ["FORMAT", "DESCRIPTION", "ARCHITECTURES", "FILES"],
            &rows,
        ))
    }
}

fn row(format: &Format) -> [String; 4] {
    let arches: Vec<&str> = format.arches.iter().map(|arch| arch.name()).collect();
    let files: Vec<String> = format.files.iter().map(|file| format!("NAME{}", file.suffix)).collect();
    [
        format.name.to_owned(),
        format.about.to_owned(),
        arches.join(","),
        files.join(" "),
    ]
}
