//! The tree as files that boot.

pub mod compress;
pub mod format;
mod payload;

use std::io;
use std::path::{Path, PathBuf};

use extents::{Extents, emit};
use tree::{Kind as Node, Tree};

use compress::Compression;
use format::{Format, Kind};
pub use payload::Payload;

/// The file that LinuxKit adds for `docker build`.
const DOCKERFILE: &str = "\nFROM scratch\n\nCOPY . ./\n\nENTRYPOINT [\"/bin/rc.init\"]\n";

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something does not fit an initrd.
    #[error("the initrd cannot be made: {0}\nhelp: leave it out, or use a format with the root filesystem on a disk")]
    Cpio(#[from] cpio::Error),
    /// Something does not fit a tar.
    #[error("the tar cannot be made: {0}")]
    Pax(#[from] pax::Unwritable),
    /// The host's filesystem.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// Where a build goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Files of a name in a folder.
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What their names begin with.
        name: String,
    },
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
    /// How an initrd is compressed.
    pub compression: Compression,
    /// How many threads.
    pub jobs: usize,
}

/// Writes the tree in all the formats, and returns the files written.
///
/// # Errors
/// What a format cannot hold, and what writing fails with. A file appears only when it is
/// complete.
pub fn write(root: &Tree, formats: &[&Format], options: &Options) -> Result<Vec<PathBuf>, Error> {
    let mut written = Vec::new();
    let mut payload = None;
    for format in formats {
        for (suffix, content) in files(root, format, options, &mut payload)? {
            match &options.target {
                Target::Stdout => {
                    let mut out = io::stdout().lock();
                    let streamed = emit::stream(&content, &mut out).and_then(|()| io::Write::flush(&mut out));
                    streamed.map_err(|source| Error::Write {
                        path: "standard output".into(),
                        source,
                    })?;
                }
                Target::File(path) => written.push(emit_file(&content, path, options.jobs)?),
                Target::Folder { dir, name } => {
                    let path = dir.join(format!("{name}{suffix}"));
                    written.push(emit_file(&content, &path, options.jobs)?);
                }
            }
        }
    }
    Ok(written)
}

fn emit_file(content: &Extents, path: &Path, jobs: usize) -> Result<PathBuf, Error> {
    emit::to_path(content, path, jobs).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(path.to_owned())
}

/// The files of a format, by what is added to the name.
fn files(
    root: &Tree,
    format: &Format,
    options: &Options,
    payload: &mut Option<Payload>,
) -> Result<Vec<(&'static str, Extents)>, Error> {
    let suffixes = format.files.iter().copied();
    let contents = match format.kind {
        Kind::Tar => vec![Some(pax::plan(root)?)],
        Kind::Docker => {
            let mut root = root.clone();
            let meta = tree::Meta::new(0o644, tree::Time::from_seconds(crate::rootfs::DEFAULT_TIME));
            let content = Node::File(Extents::from_bytes(DOCKERFILE.as_bytes()));
            // A name at the root always fits.
            let _ = root.insert(b"Dockerfile", meta.clone(), content, &meta);
            vec![Some(pax::plan(&root)?)]
        }
        Kind::KernelInitrd => {
            let payload = prepared(root, options, payload)?;
            vec![
                payload.kernel.clone(),
                Some(payload.combined_initrd()),
                payload.cmdline.clone(),
            ]
        }
        Kind::TarKernelInitrd => vec![Some(prepared(root, options, payload)?.tar()?)],
    };
    let files = suffixes.zip(contents);
    Ok(files.filter_map(|(suffix, content)| Some((suffix, content?))).collect())
}

/// The payload, made once for all formats.
fn prepared<'a>(root: &Tree, options: &Options, payload: &'a mut Option<Payload>) -> Result<&'a Payload, Error> {
    let made = match payload.take() {
        Some(payload) => payload,
        None => {
            let folder = match &options.target {
                Target::Folder { dir, .. } => dir.clone(),
                _ => std::env::temp_dir(),
            };
            Payload::new(root, options.compression, options.jobs, &folder)?
        }
    };
    Ok(payload.insert(made))
}
