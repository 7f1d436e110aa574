//! `moby inspect`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use extents::{Extents, FileBlob, Slice, emit};

use super::Failure;
use crate::inspect;

/// The arguments of `moby inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A file that `moby build` writes: disk image, ISO, filesystem, tar, kernel or initrd
    file: PathBuf,
    /// List all files with their sizes in bytes
    #[arg(long, conflicts_with = "cat")]
    ls: bool,
    /// Write one file to standard output, named by its path in the output of --ls
    #[arg(long, value_name = "PATH")]
    cat: Option<String>,
}

impl Inspect {
    pub fn run(self) -> Result<(), Failure> {
        let name = self.file.display();
        let opened =
            FileBlob::open(&self.file).map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
        let content = Extents::from_slice(Slice::whole(std::sync::Arc::new(opened)));
        let found = inspect::inspect(&content).map_err(|error| Failure::work(format!("{name}: {error}")))?;
        if let Some(path) = self.cat {
            let path = path.trim_start_matches('/');
            let Some((_, content)) = found.files.iter().find(|(known, _)| known == path) else {
                let known = found.files.iter().map(|(path, _)| path.as_str());
                let help = crate::diagnostic::nearest(path, known).unwrap_or_else(|| "--ls lists the files".into());
                return Err(Failure::work(format!("{name} has no file {path}\nhelp: {help}")));
            };
            let mut out = std::io::stdout().lock();
            let written = emit::stream(content, &mut out).and_then(|()| out.flush());
            return written.map_err(|error| Failure::work(format!("cannot copy {path} to standard output: {error}")));
        }
        if self.ls {
            let lines = found
                .files
                .iter()
                .map(|(path, content)| format!("{:>12} {path}\n", content.len()));
            return super::print(&lines.collect::<String>());
        }
        if found.lines.is_empty() {
            return Err(Failure::work(format!(
                "{name} is nothing that moby knows\nhelp: what `moby formats` lists is looked into"
            )));
        }
        super::print(&(found.lines.join("\n") + "\n"))
    }
}
