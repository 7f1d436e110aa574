//! The tree as files that boot.

pub mod boot_files;
mod container_image;
mod disk_image;
mod drivers;
mod error;
pub mod formats;
mod kernel_initrd;
mod make;
mod media;
mod raspberry_pi;
mod root_filesystem;

use std::io;
use std::path::{Path, PathBuf};

use extents::{Extents, emit};
use tree::Tree;

use crate::arch::Arch;
use crate::codec::compress::Compression;
use crate::reporter::Reporter;
pub use error::Error;
use formats::{Format, Root};
pub use kernel_initrd::Payload;
use make::Maker;

/// Where a build goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Files in a folder.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// How to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub target: Target,
    /// What the names of files begin with, and what is in them is called.
    pub name: String,
    /// How an initrd or a squashfs is compressed; each as is usual for it when nothing is said.
    pub compression: Option<Compression>,
    /// How the file of a disk is compressed as a whole; not when nothing is said.
    pub disk_compression: Option<Compression>,
    /// Where the root filesystem is; where the format has it when nothing is said.
    pub root: Option<Root>,
    /// How many threads.
    pub jobs: usize,
    /// The architecture as Go names it.
    pub arch: Arch,
    /// The length of disks in bytes; otherwise as long as need be.
    pub size: Option<u64>,
    /// How many seconds a boot menu waits.
    pub timeout: u32,
}

impl Options {
    /// What a machine or an image is called that is within a file: as the files are, in letters
    /// that all formats have.
    fn name_within(&self) -> String {
        let allowed = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        };
        let name: String = self.name.chars().take(64).map(allowed).collect();
        match name.trim_matches(['.', '_', '-']) {
            "" => "moby".into(),
            name => name.into(),
        }
    }

    /// The folder for what is compressed before it is written.
    fn spill(&self) -> PathBuf {
        match &self.target {
            Target::Folder(dir) if dir.as_os_str().is_empty() => ".".into(),
            Target::Folder(dir) => dir.clone(),
            Target::File(file) if !extents::emit::is_stream(file) => match file.parent() {
                Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
                _ => ".".into(),
            },
            Target::File(_) | Target::Stdout => std::env::temp_dir(),
        }
    }
}

/// Writes the tree in all the formats, and returns the files written.
///
/// # Errors
/// What a format cannot hold, and what writing fails with. Files appear only when all of them are
/// complete and `sound` says that what they are made of is.
pub fn write(
    root: &Tree,
    formats: &[&Format],
    options: &Options,
    find: &boot_files::Find<'_>,
    reporter: &dyn Reporter,
    sound: &dyn Fn() -> bool,
) -> Result<Vec<PathBuf>, Error> {
    if let Target::Folder(dir) = &options.target
        && !dir.as_os_str().is_empty()
    {
        std::fs::create_dir_all(dir).map_err(|source| Error::Write {
            path: dir.clone(),
            source,
        })?;
    }
    let mut maker = Maker::new(root, options, find, reporter)?;
    let mut made: Vec<(PathBuf, emit::StagedFile)> = Vec::new();
    let mut written: Vec<PathBuf> = Vec::new();
    for format in formats {
        reporter.step(&format!("making {}", format.name));
        for (suffix, content) in maker.files(format)? {
            let path = match &options.target {
                Target::Stdout => {
                    if !sound() {
                        return Err(Error::Unsound);
                    }
                    stream(&content)?;
                    continue;
                }
                Target::File(path) => path.clone(),
                Target::Folder(dir) => dir.join(format!("{}{suffix}", options.name)),
            };
            // The kernel of one format is that of the next.
            if written.contains(&path) || made.iter().any(|(there, _)| *there == path) {
                continue;
            }
            if emit::is_stream(&path) {
                if !sound() {
                    return Err(Error::Unsound);
                }
                emit::to_path(&content, &path).map_err(unwritable(&path))?;
                written.push(path);
                continue;
            }
            let file = emit::stage(&content, &path).map_err(unwritable(&path))?;
            made.push((path, file));
        }
    }
    if !sound() {
        return Err(Error::Unsound);
    }
    for (path, file) in made {
        file.persist().map_err(unwritable(&path))?;
        written.push(path);
    }
    Ok(written)
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write { path, source }
}

fn stream(content: &Extents) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let streamed = emit::stream(content, &mut out).and_then(|()| io::Write::flush(&mut out));
    streamed.map_err(|source| Error::Write {
        path: "standard output".into(),
        source,
    })
}
